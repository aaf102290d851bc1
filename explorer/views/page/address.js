// The address of the page, which follows the view without delaying the drawing.
import { toHash } from "explore/url";

// Browsers let a page change its address about a hundred times in some seconds, then refuse; a slider that is dragged
// moves sixty times a second. So the address follows at rest.
const REST_MS = 250;

/**
 * The address of the store's view: `later()` writes it once the view rests, `now()` writes it at once and gives the
 * link, which is right also where the browser refuses to write it.
 */
export function makeAddress(store, usual) {
  let timer = 0;
  const now = () => {
    clearTimeout(timer);
    timer = 0;
    const hash = toHash(store.get().view, usual);
    const link = location.href.replace(/#.*$/s, "") + (hash && `#${hash}`);
    if (location.hash.replace(/^#/, "") !== hash) write(link);
    return link;
  };
  // A page that is left or loaded again within the rest keeps its view.
  window.addEventListener("pagehide", () => timer && now());
  return {
    later() {
      clearTimeout(timer);
      timer = setTimeout(now, REST_MS);
    },
    now,
  };
}

// Refused is what came too often, from this page or from another of the same process: the next change, or the button
// that copies the link, writes what is then shown. Anything else is a fault, and is heard of.
function write(link) {
  try {
    history.replaceState(null, "", link);
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
  }
}
