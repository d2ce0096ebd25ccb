// An observable object: `set(patch)` tells every listener the new values and the set of keys that changed.

export function observable(values) {
  const listeners = [];
  return {
    get: () => values,
    set(patch) {
      const changed = Object.keys(patch).filter((key) => JSON.stringify(values[key]) !== JSON.stringify(patch[key]));
      if (!changed.length) return;
      values = { ...values, ...patch };
      for (const listener of listeners) listener(values, new Set(changed));
    },
    watch: (listener) => listeners.push(listener),
  };
}
