// Insights: what Python finds by a look at all trials; asked for again when there are more of them.

/** `follow(state)` asks when it is time to, and the store gets `insights`; `read()` gives them. */
export function makeInsights(store, read) {
  let asked = "";
  let isWaiting = false;
  const follow = ({ snapshot, live }) => {
    const key = `${snapshot.trials.number.length} ${live?.status} ${JSON.stringify(snapshot.confirmation?.n_rounds)}`;
    if (isWaiting || key === asked) return;
    [asked, isWaiting] = [key, true];
    const keep = (insights) => {
      isWaiting = false;
      store.set({ insights });
      follow(store.get());
    };
    // The connection is lost, which the page says; the next change of the study asks again.
    const lose = () => {
      [asked, isWaiting] = ["", false];
    };
    read().then(keep, lose);
  };
  return { follow };
}
