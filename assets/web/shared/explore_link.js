// What other tabs may ask of Explore, at any time, also before Explore is there.
//
// A `view` has keys of the address (mi_explorer/ui/explore/view.py, FIELDS), any of them. Unknown keys and `pair` are ignored.
// A `strip` is a finished strip as the server makes it: { token, label, view, frames: { id: frame }, sentence, bands };
// `Explore.sample(study, key)` makes it of a stored sample. Its own `view` is set first. { error } is shown as a message.

let explore = null;
const waiting = [];

// Calls `act` with Explore: now, or once it is there.
export function whenExplore(act) {
  if (explore) act(explore);
  else waiting.push(act);
}

// Sets parts of what Explore looks at, and stays on the current tab.
export const patchView = (view) => whenExplore((app) => app.patch(view || {}));

// Sets parts of the view, opens `strip` where there is one, and turns to Explore.
export const showInExplore = (view, strip = null) => whenExplore((app) => app.show(view || {}, strip));

// A copy of Explore's view with what was done to a steered response, or null while Explore is not there.
export const currentView = () => (explore ? structuredClone(explore.sharedView()) : null);

// Explore itself, or null.
export const exploreApp = () => explore;

export function exploreIsReady(app) {
  explore = app;
  for (const act of waiting.splice(0)) act(app);
}
