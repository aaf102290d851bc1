// The status line: the stage, its progress, and the time left.
import { byId, say } from "explore/dom";
import { countText, durationText, isKnown } from "explore/format";

/** The status line: the stage, its progress, and the time left. */
export function drawStatus(state) {
  const { snapshot, live, connection, derived } = state;
  const n = derived.number.length;
  const status = live?.status ?? "finished";
  const isRunning = status === "running" && connection !== "file";
  document.body.dataset.status = connection === "lost" ? "lost" : isRunning ? "running" : status;
  const total = Math.max(snapshot.n_trials ?? 0, n);
  say(byId("status-word"), wordOf(status, connection));
  const parts = [
    isRunning || n < total ? `${n.toLocaleString("en-US")} of ${countText(total, "trial")}` : countText(n, "trial"),
  ];
  if (isRunning && live.confirming) parts.push(`confirming${shareOf(live.confirming)}`);
  if (isRunning && isKnown(live.seconds_left) && live.seconds_left >= 1)
    parts.push(`about ${durationText(live.seconds_left)} left`);
  say(byId("status-count"), parts.join(", "));
  const { progress, running, confirming } = live ?? {};
  const isItself = progress?.stage === confirming?.stage;
  const now = [
    confirming ? `measuring the finalists again: ${confirming.note}` : "",
    progress && !isItself ? `${progress.stage}${shareOf(progress)}` : "",
    running ? `trial ${running.trial}: ${running.variant}` : "",
    isItself && confirming ? "" : (progress?.note ?? ""),
    stageLeft(live),
  ];
  say(byId("status-now"), isRunning ? now.filter(Boolean).join(" · ") : "");
  byId("status-now").hidden = !isRunning;
  const bar = byId("status-bar");
  bar.hidden = !isRunning;
  bar.max = (confirming ? confirming.total : total) || 1;
  bar.value = confirming ? confirming.done : n;
  bar.setAttribute("aria-label", confirming ? "The confirmation" : "Finished trials");
}

function wordOf(status, connection) {
  if (connection === "file") return "report";
  if (connection === "lost") return status === "running" ? "connection lost" : `${status}, connection lost`;
  return status === "interrupted" ? "interrupted; `explore start` resumes it" : status;
}

const shareOf = ({ done, total }) => (total ? ` ${Math.round((100 * done) / total)} %` : "");

// While the base network is trained, no trial allows an estimate for the study; the stage itself may.
function stageLeft(live) {
  const seconds = live?.progress?.seconds_left;
  return !isKnown(live?.seconds_left) && seconds >= 1 ? `about ${durationText(seconds)} left` : "";
}
