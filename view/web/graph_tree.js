// The names of rows at the left of a graph: only those that are seen are elements, and these are used again.

import { make } from './dom.js';
import { rowName } from './graph_axis.js';
import { lengthText } from './time.js';

/** @typedef {import('./graph_rows.js').Item} Item */
/** @typedef {import('./graph_draw.js').Place} Place */

/** Rows lower than this show no text. */
const TEXT_HEIGHT_MIN = 10;
/** Indents deeper than this stay as they are. */
const DEPTH_MAX = 9;

/**
 * What the tree tells the pane it is in.
 * @typedef {object} TreePane
 * @property {import('./graph_model.js').GraphModel} model
 * @property {(row: number) => void} select
 * @property {(key: string) => void} toggle
 * @property {(row: number) => void} pin
 * @property {(step: number) => void} move selects another row
 */

/** An element for a row, and what it shows. */
/**
 * @typedef {object} Line
 * @property {HTMLElement} element
 * @property {HTMLElement} twist
 * @property {HTMLElement} name
 * @property {HTMLElement} time
 * @property {HTMLElement} pin
 * @property {Item | null} item what it shows; none while it is hidden
 * @property {boolean} selected
 * @property {boolean} pointed
 * @property {number} top
 * @property {number} clip
 * @property {number} height
 * @property {number} count of all rows
 */

export class GraphTree {
  /** @param {TreePane} pane */
  constructor(pane) {
    this.pane = pane;
    this.list = make('div', {
      class: 'graph-rows', attributes: { role: 'tree', tabindex: 0, 'aria-label': 'Rows: j and k select one' },
    });
    this.element = make('div', { class: 'graph-tree' }, this.list);
    /** @type {Line[]} */
    this.lines = [];
    this.list.addEventListener('click', (event) => this.click(event));
    this.list.addEventListener('keydown', (event) => this.keydown(event));
  }

  /**
   * Shows names at their places.
   * @param {Place[]} places
   * @param {number} count of all rows that can be scrolled to
   */
  draw(places, count) {
    const { model } = this.pane;
    while (this.lines.length < places.length) {
      this.lines.push(this.addLine());
    }
    /** @type {string | null} */
    let active = null;
    this.lines.forEach((line, index) => {
      const place = places[index];
      const { element } = line;
      if (!place) {
        hideLine(line);
        return;
      }
      const { item, top, height, clip } = place;
      const selected = item.row >= 0 && item.row === model.row;
      const pointed = item.row >= 0 && item.row === model.hoverRow;
      active = selected ? element.id : active;
      if (line.pointed !== pointed) {
        line.pointed = pointed;
        element.classList.toggle('pointed', pointed);
      }
      if (line.item === null || line.top !== top || line.height !== height || line.clip !== clip) {
        moveLine(line, place);
      }
      if (line.item !== item || line.selected !== selected || line.height !== height || line.count !== count) {
        Object.assign(line, { item, selected, height, count });
        this.showItem(line, item, selected, height, count);
      }
    });
    if (active) {
      this.list.setAttribute('aria-activedescendant', active);
    } else {
      this.list.removeAttribute('aria-activedescendant');
    }
  }

  /** @returns {Line} */
  addLine() {
    const twist = make('span', { class: 'graph-twist', attributes: { 'aria-hidden': 'true' } });
    const name = make('span', { class: 'graph-name', attributes: { dir: 'ltr' } });
    const time = make('span', { class: 'graph-time' });
    const pin = make('span', { class: 'graph-pin', title: 'Keep on top (p)', attributes: { 'aria-hidden': 'true' } });
    const element = make('div', { class: 'graph-row', attributes: { role: 'treeitem' } }, twist, name, time, pin);
    this.made = (this.made ?? 0) + 1;
    element.id = `graph-row-${this.made}-${Math.floor(performance.now())}`;
    this.list.append(element);
    const state = { item: null, selected: false, pointed: false, top: 0, clip: 0, height: 0, count: 0 };
    return { element, twist, name, time, pin, ...state };
  }

  /**
   * @param {Line} line
   * @param {Item} item
   * @param {boolean} selected
   * @param {number} height
   * @param {number} count
   */
  showItem(line, item, selected, height, count) {
    const { element, twist, name, time, pin } = line;
    const group = item.row < 0;
    const legible = height >= TEXT_HEIGHT_MIN;
    const row = this.pane.model.rows[item.row];
    element.dataset.key = item.key;
    element.dataset.row = String(item.row);
    element.classList.toggle('group', group);
    element.classList.toggle('selected', selected);
    element.classList.toggle('pinned', item.pinned);
    element.setAttribute('aria-level', String(item.depth + 1));
    element.setAttribute('aria-setsize', String(count));
    element.setAttribute('aria-selected', String(selected));
    element.setAttribute('aria-label', group ? item.name : `${item.name}, ran ${lengthText(item.time)}`);
    if (item.parent) {
      element.setAttribute('aria-expanded', String(item.open));
    } else {
      element.removeAttribute('aria-expanded');
    }
    element.style.paddingLeft = `${4 + Math.min(item.depth, DEPTH_MAX) * 11}px`;
    twist.textContent = !legible ? '' : item.parent ? (item.open ? '▾' : '▸') : '';
    name.textContent = legible ? item.name : '';
    time.textContent = legible && !group && item.time > 0 ? lengthText(item.time) : '';
    pin.textContent = legible && !group ? (item.pinned ? '★' : '☆') : '';
    element.title = row ? `${rowName(row)}\nran ${lengthText(item.time)} in the whole trace` : item.name;
  }

  /**
   * In the list itself the arrow keys go from row to row, and open and close.
   * @param {KeyboardEvent} event
   */
  keydown(event) {
    const { row, choices } = this.pane.model;
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const closes = { ArrowLeft: true, ArrowRight: false }[event.key];
    if (step) {
      this.pane.move(step);
    } else if (closes !== undefined && row !== null) {
      if (choices.closed.includes(String(row)) !== closes) {
        this.pane.toggle(String(row));
      }
    } else {
      return;
    }
    event.preventDefault();
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const element = /** @type {HTMLElement | null} */ (target.closest('.graph-row'));
    if (!element) {
      return;
    }
    const row = Number(element.dataset.row);
    if (target.classList.contains('graph-pin') && row >= 0) {
      this.pane.pin(row);
    } else if (row < 0 || (target.classList.contains('graph-twist') && target.textContent !== '')) {
      this.pane.toggle(element.dataset.key ?? '');
    } else {
      this.pane.select(row);
    }
  }
}

/** @param {Line} line */
function hideLine(line) {
  if (line.item !== null || !line.element.hidden) {
    line.item = null;
    line.element.hidden = true;
  }
}

/**
 * @param {Line} line
 * @param {Place} place
 */
function moveLine(line, { top, height, clip }) {
  const { element } = line;
  element.hidden = false;
  element.style.transform = `translateY(${top}px)`;
  element.style.height = `${height}px`;
  element.style.visibility = top + height / 2 < clip ? 'hidden' : 'visible';
  line.top = top;
  line.clip = clip;
}
