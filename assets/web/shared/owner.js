// Who steers background work: a word that the browser keeps, so that a closed tab can come back to what it started.

import { newToken } from "./server.js";

const OWNER_KEY = "mi-owner";

export function keptOwner() {
  try {
    const kept = localStorage.getItem(OWNER_KEY) || newToken();
    localStorage.setItem(OWNER_KEY, kept);
    return kept;
  } catch {
    return newToken();
  }
}
