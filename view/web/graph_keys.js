// Keys of a graph.

/** Part of the visible time that one key press moves. */
const PAN_PART = 0.1;
/** How much one key press zooms. */
const ZOOM_FACTOR = 0.8;

/** Keys of a graph, for the help. */
/** @type {[string, string][]} */
export const GRAPH_KEYS = [
  ['w s + −', 'zoom in and out (wheel)'],
  ['a d ← →', 'earlier, later (drag)'],
  ['↑ ↓', 'scroll rows (shift+wheel)'],
  ['j k', 'select the next, previous row (shift+↑ ↓)'],
  ['shift+drag', 'select times; also by dragging on the axis'],
  ['f', 'fit to the selection'],
  ['0', 'the whole trace'],
  [', .', 'previous, next state of the row'],
  ['g', 'go to who ended the wait'],
  ['c', 'critical path from here'],
  ['e', 'events here'],
  ['p', 'keep the row on top'],
  ['Enter', 'open or close what is below a row'],
  ['t h o', 'tree, only active rows, wake-ups'],
  ['/', 'filter rows'],
  ['Esc', 'remove path, selection, cursor'],
];

/**
 * What keys can do; each is told where the pointer is, or the middle of the picture.
 * @typedef {object} KeysPane
 * @property {import('./graph_model.js').GraphModel} model
 * @property {() => number} focusTime
 * @property {(pixels: number) => void} scroll
 * @property {(step: number) => void} moveRow
 * @property {(name: 'tree' | 'ran' | 'arrows') => void} flip
 * @property {() => void} find
 * @property {() => void} pinSelected
 * @property {() => void} toggleSelected
 * @property {import('./graph_details.js').GraphDetails | null} details
 */

/**
 * Does what a key says; whether it says anything.
 * @param {KeysPane} pane
 * @param {KeyboardEvent} event
 */
export function graphKey(pane, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return false;
  }
  return (event.shiftKey && event.key.startsWith('Arrow') ? shiftKey(pane, event.key) : moveKey(pane, event.key)) ||
    actKey(pane, event.key);
}

/**
 * @param {KeysPane} pane
 * @param {string} key
 */
function shiftKey(pane, key) {
  if (key === 'ArrowUp' || key === 'ArrowDown') {
    pane.moveRow(key === 'ArrowUp' ? -1 : 1);
    return true;
  }
  return moveKey(pane, key);
}

/**
 * @param {KeysPane} pane
 * @param {string} key
 */
function moveKey(pane, key) {
  const { model } = pane;
  const step = (model.to - model.from) * PAN_PART;
  switch (key) {
    case 'w': case '+': case '=':
      model.zoom(ZOOM_FACTOR, pane.focusTime());
      return true;
    case 's': case '-':
      model.zoom(1 / ZOOM_FACTOR, pane.focusTime());
      return true;
    case 'a': case 'ArrowLeft':
      model.pan(-step);
      return true;
    case 'd': case 'ArrowRight':
      model.pan(step);
      return true;
    case 'ArrowUp': case 'ArrowDown':
      pane.scroll(key === 'ArrowUp' ? -60 : 60);
      return true;
    case 'PageUp': case 'PageDown':
      pane.scroll(key === 'PageUp' ? -400 : 400);
      return true;
    case 'j': case 'k':
      pane.moveRow(key === 'k' ? -1 : 1);
      return true;
    case '0':
      model.change({ from: model.low, to: model.end });
      return true;
    case 'f':
      model.fit();
      return true;
    default:
      return false;
  }
}

/**
 * @param {KeysPane} pane
 * @param {string} key
 */
function actKey(pane, key) {
  const { details } = pane;
  /** @type {Record<string, () => void>} */
  const acts = {
    t: () => pane.flip('tree'),
    h: () => pane.flip('ran'),
    o: () => pane.flip('arrows'),
    p: () => pane.pinSelected(),
    Enter: () => pane.toggleSelected(),
    '/': () => pane.find(),
    ',': () => details?.step('previous'),
    '.': () => details?.step('next'),
    g: () => details?.goToWaker(),
    c: () => details?.askPath(),
    e: () => details?.openEvents(),
    Escape: () => escapeKey(pane),
  };
  const act = Object.hasOwn(acts, key) ? acts[key] : undefined;
  act?.();
  return act !== undefined;
}

/** @param {KeysPane} pane */
function escapeKey({ model }) {
  if (model.path) {
    model.change({ path: null });
  } else if (model.selection) {
    model.change({ selection: null });
  } else {
    model.change({ cursor: null, row: null });
  }
}
