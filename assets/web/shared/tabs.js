// The page's tabs: open one by its id; the open one is in the address (`tab=curves`; Explore is left out).

import { writeQuery } from "./address.js";

const BUTTONS = "#tabs [data-tab-id]";

export function openTab(id) {
  const button = [...document.querySelectorAll(BUTTONS)].find((node) => node.dataset.tabId === id);
  if (button) button.click();
}

// Calls `act` once, when a tab other than Explore is about to be opened: the pointer or the focus is on its button.
export function onTabIntent(act) {
  const kinds = ["pointerover", "pointerdown", "focusin"];
  const look = ({ target }) => {
    const button = target.closest && target.closest(BUTTONS);
    if (!button || button.dataset.tabId === "explore") return;
    for (const kind of kinds) document.removeEventListener(kind, look);
    act();
  };
  for (const kind of kinds) document.addEventListener(kind, look);
}

// Opens the tab that the address names, and keeps the address at the open one from then on.
export function followTabs() {
  const asked = new URLSearchParams(location.search).get("tab");
  if (asked && asked !== "explore") openTab(asked);
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest(BUTTONS);
    if (!button) return;
    const query = new URLSearchParams(location.search);
    if (button.dataset.tabId === "explore") query.delete("tab");
    else query.set("tab", button.dataset.tabId);
    writeQuery(query);
  });
}
