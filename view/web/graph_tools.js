// The line of controls above a graph.

import { button, choice, make } from './dom.js';

/** @typedef {import('./graph_model.js').GraphModel} GraphModel */
/** @typedef {import('./graph_model.js').Choices} Choices */

/**
 * What the controls tell the pane they are in.
 * @typedef {object} ToolsPane
 * @property {GraphModel} model
 * @property {(as: 'svg' | 'png') => void} save
 */

/** The controls, which show what the model says. */
export class GraphTools {
  /** @param {ToolsPane} pane */
  constructor(pane) {
    const { model } = pane;
    this.model = model;
    this.find = make('input', {
      attributes: {
        type: 'search', placeholder: 'filter names, tids', 'aria-label': 'filter rows by name or tid',
        size: 16, maxlength: 200,
      },
      on: { input: () => model.change({ choices: { find: this.find.value } }) },
    });
    this.find.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' || event.key === 'Enter') {
        this.find.blur();
      }
    });
    this.sort = choice([['start', 'by start'], ['time', 'by CPU time'], ['name', 'by name']], model.choices.sort,
      (value) => model.change({ choices: { sort: /** @type {Choices['sort']} */ (value) } }));
    this.sort.setAttribute('aria-label', 'order of rows');
    this.size = choice([['large', 'large'], ['normal', 'normal'], ['small', 'small']], model.choices.size,
      (value) => model.change({ choices: { size: /** @type {Choices['size']} */ (value) } }));
    this.size.setAttribute('aria-label', 'height of rows');
    /** @type {[keyof Choices, HTMLButtonElement][]} */
    this.switches = [
      this.toggle('tree', 'tree', 'Threads below those that made them (t)'),
      this.toggle('ran', 'only active', 'Hide rows that did nothing in the visible time (h)'),
      this.toggle('arrows', 'wake-ups', 'Arrows from who woke to who was woken (o)'),
      this.toggle('follow', 'follow the end', 'Stay at the end while the trace grows'),
    ];
    const save = choice([['', 'picture …'], ['png', 'save as PNG'], ['svg', 'save as SVG']], '', (value) => {
      save.value = '';
      if (value === 'png' || value === 'svg') {
        pane.save(value);
      }
    });
    save.setAttribute('aria-label', 'save the picture');
    this.fit = button('selection', () => model.fit(), 'Fit to the selection (f)');
    this.range = make('span', { class: 'graph-range' });
    this.element = make('div', { class: 'graph-tools', attributes: { role: 'toolbar', 'aria-label': 'graph' } },
      this.find, this.sort, this.size, ...this.switches.map(([, element]) => element),
      make('span', { class: 'graph-gap' }),
      this.range,
      button('−', () => this.zoom(2), 'Zoom out (s or −)'), button('+', () => this.zoom(0.5), 'Zoom in (w or +)'),
      this.fit, button('whole', () => model.change({ from: model.low, to: model.end }), 'The whole trace (0)'), save);
  }

  /**
   * @param {'tree' | 'ran' | 'arrows' | 'follow'} name
   * @param {string} text
   * @param {string} title
   * @returns {[keyof Choices, HTMLButtonElement]}
   */
  toggle(name, text, title) {
    return [name, button(text, () => this.flip(name), title)];
  }

  /**
   * Changes a switch.
   * @param {'tree' | 'ran' | 'arrows' | 'follow'} name
   */
  flip(name) {
    this.model.change({ choices: { [name]: !this.model.choices[name] } });
  }

  /** @param {number} factor */
  zoom(factor) {
    this.model.zoom(factor, (this.model.from + this.model.to) / 2);
  }

  /**
   * Shows what the model says.
   * @param {string} range the visible times, as text
   */
  draw(range) {
    const { choices, meta, selection } = this.model;
    if (document.activeElement !== this.find) {
      this.find.value = choices.find;
    }
    this.sort.value = choices.sort;
    this.size.value = choices.size;
    for (const [name, element] of this.switches) {
      element.setAttribute('aria-pressed', String(choices[name]));
      element.hidden = name === 'follow' && !meta.live;
    }
    this.fit.disabled = selection === null;
    if (this.range.textContent !== range) {
      this.range.textContent = range;
    }
  }
}
