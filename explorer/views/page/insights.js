// Insights: results of explorer/views/page/insights.py, requested again when there are more trials.

/** `follow(state)` requests insights from `read()` when the study has changed, and sets `insights` in the store. */
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
    // The connection is lost; the next change of the study requests them again.
    const lose = () => {
      [asked, isWaiting] = ["", false];
    };
    read().then(keep, lose);
  };
  return { follow };
}
