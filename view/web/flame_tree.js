// Stacks as a tree, and where each part of it stands in the picture.

/** @typedef {import('./types.d.ts').Flame} Flame */

/**
 * @typedef {object} FlameNode
 * @property {string} name
 * @property {number} value of it and all above it
 * @property {number} own value of it alone
 * @property {FlameNode | null} parent
 * @property {Map<string, FlameNode>} children
 * @property {number} depth
 * @property {number} start where it begins, in units of the value
 */

/** Deepest stack that is drawn. */
const FLAME_DEPTH_MAX = 200;

/**
 * @param {string} name
 * @param {FlameNode | null} parent
 * @returns {FlameNode}
 */
function flameNode(name, parent) {
  return { name, value: 0, own: 0, parent, children: new Map(), depth: parent ? parent.depth + 1 : 0, start: 0 };
}

/**
 * Makes a tree of stacks; the largest child comes first.
 * @param {Flame} flame
 * @returns {FlameNode}
 */
export function flameTree(flame) {
  const root = flameNode('all', null);
  for (const [names, value] of flame.stacks) {
    let node = root;
    node.value += value;
    for (const name of names.slice(0, FLAME_DEPTH_MAX)) {
      let child = node.children.get(name);
      if (!child) {
        child = flameNode(name, node);
        node.children.set(name, child);
      }
      child.value += value;
      node = child;
    }
    node.own += value;
  }
  placeChildren(root);
  return root;
}

/** @param {FlameNode} root */
function placeChildren(root) {
  const waiting = [root];
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    let start = node.start;
    for (const child of [...node.children.values()].sort((a, b) => b.value - a.value)) {
      child.start = start;
      start += child.value;
      waiting.push(child);
    }
  }
}

/**
 * Calls for each node that is wide enough, from the outermost on.
 * @param {FlameNode} root
 * @param {number} least smallest value that is seen
 * @param {(node: FlameNode) => void} call
 */
export function walkFlame(root, least, call) {
  const waiting = [root];
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    call(node);
    for (const child of node.children.values()) {
      if (child.value >= least) {
        waiting.push(child);
      }
    }
  }
}

/**
 * From the outermost to a node.
 * @param {FlameNode} node
 */
export function flamePath(node) {
  const path = [];
  for (let one = /** @type {FlameNode | null} */ (node); one; one = one.parent) {
    path.unshift(one);
  }
  return path;
}

/**
 * What each name took, however deep: all of it and it alone.
 * @param {FlameNode} root
 */
export function flameSums(root) {
  /** @type {Map<string, { all: number, own: number }>} */
  const sums = new Map();
  walkFlame(root, 0, (node) => {
    if (!node.parent) {
      return;
    }
    const sum = sums.get(node.name) ?? { all: 0, own: 0 };
    sums.set(node.name, sum);
    sum.own += node.own;
    // A name within itself has been counted already.
    if (!flamePath(node.parent).some((one) => one.name === node.name)) {
      sum.all += node.value;
    }
  });
  return sums;
}
