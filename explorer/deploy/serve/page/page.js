// Sends a file to the model and shows what comes back. Nothing else is asked for, and nothing is kept.
const element = (id) => document.getElementById(id);
const TINY_PIXELS = 64; // smaller images are shown with their pixels, not blurred
let newest = 0;

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) classify(file);
  event.target.value = ""; // so that the same file can be chosen again
});

const drop = element("drop");
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) classify(file);
  else complain("what was dropped is no file: save it first, then drop the file");
});
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (file) classify(file);
});

async function classify(file) {
  const turn = ++newest;
  show(file);
  element("problem").hidden = true;
  element("result").classList.add("waiting");
  const start = performance.now();
  try {
    const response = await fetch(document.querySelector("main").dataset.path, { method: "POST", body: file });
    const answer = await response.json();
    if (turn !== newest) return; // another file has been chosen meanwhile
    if (response.ok) report(answer, performance.now() - start);
    else complain(answer.error);
  } catch (error) {
    if (turn === newest) complain(`the server cannot be reached (${error.message}): see whether it still runs`);
  }
}

function show(file) {
  const picture = element("picture");
  URL.revokeObjectURL(picture.src);
  picture.onload = () => picture.classList.toggle("tiny", picture.naturalWidth <= TINY_PIXELS);
  picture.onerror = () => {
    picture.hidden = true;
  };
  picture.src = URL.createObjectURL(file);
  picture.alt = file.name;
  picture.hidden = false;
}

function report(answer, totalMs) {
  const rows = answer.classes ?? Object.entries(answer.answer).map(([name, value]) => ({ name: `${name}: ${value}` }));
  element("classes").replaceChildren(...rows.map(row));
  const isEarly = answer.exit < answer.n_exits - 1;
  element("exit").textContent = answer.n_exits > 1 ? `${answer.exit + 1} of ${answer.n_exits}${isEarly ? ", early" : ""}` : "the only one";
  element("steps").replaceChildren(...Array.from({ length: answer.n_exits > 1 ? answer.n_exits : 0 }, (_, index) => step(index === answer.exit)));
  element("inference").textContent = milliseconds(answer.inference_ms);
  element("total").textContent = milliseconds(totalMs);
  element("result").classList.remove("waiting");
  element("result").hidden = false;
  const [best] = rows;
  element("said").textContent = best.probability === undefined ? best.name : `${best.name}, ${share(best.probability)}`;
}

function row({ name, probability }) {
  const item = document.createElement("li");
  const [label, text, bar, fill] = ["span", "span", "div", "span"].map((tag) => document.createElement(tag));
  label.className = "name";
  label.textContent = name;
  item.append(label);
  if (probability === undefined) return item;
  text.className = "share";
  text.textContent = share(probability);
  bar.className = "bar";
  fill.style.width = `${100 * probability}%`;
  bar.append(fill);
  item.append(text, bar);
  return item;
}

function step(isTaken) {
  const dot = document.createElement("i");
  dot.classList.toggle("taken", isTaken);
  return dot;
}

function complain(sentence) {
  element("result").hidden = true;
  element("problem").textContent = `${sentence[0].toUpperCase()}${sentence.slice(1)}.`;
  element("problem").hidden = false;
}

const share = (probability) => `${(100 * probability).toFixed(1)} %`;
const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`;
