// Plotly layouts in the page's own colours and fonts, which follow light and dark.

// A layout with the page's colours; what the figure sets itself stays.
export function themedLayout(layout) {
  const style = getComputedStyle(document.querySelector(".mi") || document.body);
  return withTheme(layout, (name) => style.getPropertyValue(name).trim());
}

// The same with `colour(name)` for a CSS variable's value.
export function withTheme(layout, colour) {
  const [ink, sans, frame] = ["--ink", "--sans", "--line-2"].map(colour);
  const axis = { gridcolor: colour("--line"), zerolinecolor: frame, linecolor: frame, automargin: true };
  const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
  return {
    uirevision: "kept",
    margin: { l: 52, r: 16, t: layout.title ? 40 : 16, b: 44 },
    hovermode: "closest",
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: sans, size: 12.5, color: colour("--ink-2"), ...layout.font },
    hoverlabel: { bgcolor: colour("--raised"), bordercolor: frame, font: { color: ink, family: sans } },
    ...Object.fromEntries([...axes, "xaxis", "yaxis"].map((key) => [key, { ...axis, ...layout[key] }])),
  };
}
