// The live study: the snapshot, then changes pushed by the server; a lost connection is shown and restored.
import { withTrials } from "explore/state";
import { unpacked } from "explore/unpack";

const WAITS_S = [1, 2, 4, 8, 15];
const KNOWN = "What is shown is what was known; the page reconnects by itself.";
// `explore start` serves its page beyond the end of the study only at an interactive terminal.
const ENDED = "The study runs no longer; once `explore dashboard` shows it again, the page reconnects by itself.";

/** The snapshot with the live object beside it, as the server has it now. Throws an Error with a sentence. */
export async function fetchState() {
  const response = await fetch("/api/state", { credentials: "same-origin", cache: "no-store" });
  if (response.status === 403) throw new Refused();
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const { live, ...snapshot } = await response.json();
  return { snapshot: unpacked(snapshot), live };
}

/** The details of one trial. Throws an Error with a sentence. */
export const fetchTrial = (number) => fetchJson(`/api/trials/${number}`);

/** Two trials side by side. Throws an Error with a sentence. */
export const fetchComparison = (first, second) => fetchJson(`/api/compare/${first}/${second}`);

/** The insights. Throws an Error with a sentence. */
export const fetchInsights = () => fetchJson("/api/insights");

/** Export a trial as a bundle; gives its folder and its quality on the test split. Throws an Error with a sentence. */
export async function exportTrial(number) {
  const body = JSON.stringify({ trial: number });
  const { token } = await fetchJson("/api/write-token");
  const headers = { "content-type": "application/json", "x-explore-token": token };
  const response = await fetch("/api/exports", { method: "POST", credentials: "same-origin", headers, body });
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(said.error ?? `the server answered ${response.status}`);
  return said;
}

async function fetchJson(address) {
  const response = await fetch(address, { credentials: "same-origin", cache: "no-store" });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response.json();
}

/** The server was started again since this page was opened. */
class Refused extends Error {}

/**
 * Follow the study: keep the store's snapshot and live object up to date. The browser restores a broken stream from the
 * number of the last event; where it gives up, the whole state is requested anew.
 */
export function follow(store) {
  let source = null;
  let failures = 0;
  let timer = 0;
  let nStarts = 0;

  const isRunning = () => (store.get().live?.status ?? "running") === "running";
  const hear = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
  const connected = () => {
    failures = 0;
    store.set({ connection: "live", connectionNote: "" });
  };
  const connect = () => {
    source = new EventSource(`/api/events?since=${store.get().snapshot.trials.number.length}`);
    source.addEventListener("open", connected);
    hear("trials", (news) => store.set({ snapshot: withTrials(store.get().snapshot, news) }));
    hear("live", (live) => store.set({ live }));
    source.addEventListener("reset", start);
    source.addEventListener("error", () => {
      lost("The connection to the study is lost.");
      if (source.readyState === EventSource.CLOSED) again();
    });
  };
  const lost = (sentence, advice = isRunning() ? KNOWN : ENDED) =>
    store.set({ connection: "lost", connectionNote: `${sentence} ${advice}` });
  const again = () => {
    clearTimeout(timer);
    source?.close();
    const wait = WAITS_S[Math.min(failures, WAITS_S.length - 1)];
    failures += 1;
    timer = setTimeout(start, 1000 * wait);
  };
  async function start() {
    clearTimeout(timer);
    source?.close();
    nStarts += 1;
    const mine = nStarts;
    // A laptop that wakes up is in sight and on line at once: two begin, and the later one alone goes on.
    const isLate = () => mine !== nStarts;
    try {
      const state = await fetchState();
      if (isLate()) return;
      store.set(state);
    } catch (error) {
      if (isLate()) return;
      if (error instanceof Refused)
        lost(
          "The server was started again and has a new link.",
          "Open the link that it printed; this page keeps what it had.",
        );
      else lost("The server of this study cannot be reached.");
      again();
      return;
    }
    connect();
  }
  // A laptop that slept, or a network that came back: try at once.
  window.addEventListener("online", () => store.get().connection === "lost" && start());
  document.addEventListener("visibilitychange", () => !document.hidden && store.get().connection === "lost" && start());
  return { connect };
}
