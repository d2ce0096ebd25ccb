// The page's tabs: open one by its id; the open one is in the address (`tab=curves`; Explore is left out).
"use strict";
MI.tab = function (id) {
  const button = [...document.querySelectorAll("#tabs [data-tab-id]")].find((node) => node.dataset.tabId === id);
  if (button) button.click();
};

MI.tabAddress = function () {
  const asked = new URLSearchParams(location.search).get("tab");
  if (asked && asked !== "explore") MI.tab(asked);
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("#tabs [data-tab-id]");
    if (!button) return;
    const query = new URLSearchParams(location.search), id = button.dataset.tabId;
    id === "explore" ? query.delete("tab") : query.set("tab", id);
    const text = query.toString();
    history.replaceState(history.state, "", location.pathname + (text ? "?" + text : "") + location.hash);
  });
};
