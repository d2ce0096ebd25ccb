// Tokens and places in the text that is shown: each part of a trace loses its white space at both ends there. No document.

// Where each token of `part` begins in the part as shown, in UTF-16 units: [[token number, start], …]. `tokens`: [text, part, …].
export function tokenStarts(tokens, part) {
  const own = tokens.map(([text, where], i) => [text, where, i]).filter(([, where]) => where === part);
  const whole = own.map(([text]) => text).join("");
  const lead = whole.length - whole.trimStart().length;
  let at = -lead;
  return own.map(([text, , i]) => {
    const start = Math.max(0, at);
    at += text.length;
    return [i, start];
  });
}

// The number of the token at a character of a part; null where the part has none.
export function tokenAt(tokens, part, at) {
  const starts = tokenStarts(tokens, part);
  const found = starts.findLast(([, start]) => start <= at);
  return (found || starts[0])?.[0] ?? null;
}

// The place where a token begins: { part, at }. A tag stands at the beginning of what follows it, or at the end of the thought.
export function placeOfToken(tokens, i) {
  for (let j = i; j < tokens.length; j++) {
    const part = tokens[j][1];
    if (part) return { part, at: tokenStarts(tokens, part).find(([token]) => token === j)[1] };
  }
  const last = tokens.findLast(([, where]) => where);
  return last ? { part: last[1], at: Number.MAX_SAFE_INTEGER } : null;
}
