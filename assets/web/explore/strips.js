// The strip on the board, and the one that was there before it with the settings that it was looked at with.

import { byLam } from "./frames.js";
import { endedStrip, isEmpty, viewKey, viewOf } from "./strip.js";

export class Strips {
  // `onReplaced(token)` is called when another strip takes the place of the one on the board.
  constructor(first, view, onReplaced) {
    this.strip = { ...first, key: viewKey(view.get()), precomputed: true };
    this.view = view;
    this.onReplaced = onReplaced;
    this.previous = null; // { strip, view }
    this.ordered = null;
  }

  current() {
    return this.strip;
  }

  // The frames of the strip by λ.
  frames() {
    this.ordered ||= byLam(this.strip.frames);
    return this.ordered;
  }

  // Whether the frames belong to other settings than those on the page.
  isStale() {
    return !isEmpty(this.strip) && this.strip.key !== viewKey(this.view.get());
  }

  // Puts a strip on the board. The one before it is kept with `view`, unless it is the same one, grown.
  replace(strip, view = viewOf(this.strip)) {
    if (strip.token !== this.strip.token) {
      if (!isEmpty(this.strip)) this.previous = { strip: endedStrip(this.strip), view };
      this.onReplaced(strip.token);
    }
    this.extend(strip);
  }

  // Puts more frames of the same strip on the board.
  extend(strip) {
    this.strip = strip;
    this.ordered = null;
  }

  // Swaps the strip with the previous one; returns the view that belongs to it now.
  swap() {
    const { strip, view } = this.previous;
    this.previous = { strip: this.strip, view: this.view.get() };
    this.onReplaced(strip.token);
    this.extend(strip);
    return view;
  }
}
