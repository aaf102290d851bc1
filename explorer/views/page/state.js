// The store: data (snapshot, live), view, and listeners to their changes.

/** A store. `listeners` are called with `(state, changed)` once a frame; `changed` are the names set since the last. */
export function makeStore(state) {
  const listeners = [];
  let current = state;
  let changed = new Set();
  let isPlanned = false;
  const flush = () => {
    isPlanned = false;
    const names = changed;
    changed = new Set();
    for (const listener of listeners) listener(current, names);
  };
  return {
    get: () => current,
    set(part) {
      const news = Object.entries(part).filter(([name, value]) => current[name] !== value);
      if (!news.length) return;
      current = { ...current, ...Object.fromEntries(news) };
      for (const [name] of news) changed.add(name);
      if (!isPlanned) {
        isPlanned = true;
        // A hidden tab has no frames and still has to follow the study.
        if (document.hidden) setTimeout(flush, 0);
        else requestAnimationFrame(flush);
      }
    },
    look(part) {
      this.set({ view: { ...current.view, ...part } });
    },
    /** Set derived values without calling the listeners. */
    replace: (state) => (current = state),
    subscribe: (listener) => listeners.push(listener),
  };
}

/** The time of a trial's end, which differs in a study begun anew; null while there is no such trial. */
export function stampOf({ derived }, number) {
  const row = derived.indexOf(number);
  return row < 0 ? null : derived.trials.finished[row];
}

/** The snapshot with the trials of a `trials` event appended; trials that it has already are skipped. */
export function withTrials(snapshot, news) {
  const known = new Set(snapshot.trials.number);
  const fresh = [];
  news.trials.number.forEach((number, index) => {
    if (!known.has(number)) {
      known.add(number);
      fresh.push(index);
    }
  });
  return {
    ...snapshot,
    study: news.study ?? snapshot.study,
    objectives: news.objectives ?? snapshot.objectives,
    metrics: news.metrics ?? snapshot.metrics,
    trials: joined(snapshot.trials, news.trials, fresh, snapshot.trials.number.length),
    parameters: news.parameters ?? snapshot.parameters,
    reasons: { ...snapshot.reasons, ...news.reasons },
    reference_point: news.reference_point ?? snapshot.reference_point,
    ideal_point: news.ideal_point ?? snapshot.ideal_point,
    constraints: news.constraints ?? snapshot.constraints,
    confirmation: news.confirmation === undefined ? snapshot.confirmation : news.confirmation,
  };
}

// Columns of columns, joined by name: one that only one side has is filled with null on the other.
function joined(old, news, fresh, length) {
  if (Array.isArray(old) || Array.isArray(news)) {
    const before = old ?? new Array(length).fill(null);
    return before.concat(fresh.map((index) => (news ? news[index] : null)));
  }
  if (old === null && news === null) return null;
  const all = {};
  for (const name of new Set([...Object.keys(old ?? {}), ...Object.keys(news ?? {})])) {
    all[name] = joined(old?.[name] ?? null, news?.[name] ?? null, fresh, length);
  }
  return all;
}
