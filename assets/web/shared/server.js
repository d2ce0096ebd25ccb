// How the page reaches its server. Addresses are relative to the page's own: a proxy may change host, port and prefix.

export const NO_ANSWER = "The server does not answer.";

// The full address of a path of the server, such as "/mi/run".
export const serverAddress = (path) => new URL(`.${path}`, document.baseURI).href;

// What a server function answers; { error } where no answer comes (Gradio then gives undefined).
export async function answerOf(promise) {
  const answer = await Promise.resolve(promise).catch(() => undefined);
  return answer === undefined ? { error: NO_ANSWER } : answer;
}

// The same, with a value of one's own where no answer comes.
export async function answerOr(fallback, promise) {
  const answer = await Promise.resolve(promise).catch(() => undefined);
  return answer === undefined ? fallback : answer;
}

// A name that nobody can guess.
export const newToken = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
