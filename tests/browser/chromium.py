"""How Chromium is started, and what its pages are given before their own scripts."""

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

# For tests alone: `explore` in the page is what other tabs may ask of Explore (shared/explore_link.js), and Explore itself as `app`.
EXPOSE = """addEventListener("DOMContentLoaded", async () => {
  const link = document.querySelector("link[rel=modulepreload]");
  if (!link) return;
  const { patchView, showInExplore, currentView, exploreApp, openTab } = await import(link.href);
  window.explore = { patch: patchView, show: showInExplore, view: currentView, openTab, get app() { return exploreApp(); } };
});"""


# The tour of a first visit was seen already: it is of no concern to other tests.
TOUR_SEEN = "try { localStorage.setItem('mi-tour', 'seen'); } catch { /* a document without an origin */ }"
