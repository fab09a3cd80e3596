// A box for an expression of the filter language: completion while one types, errors under the place where they are.

import { errorText, fill, make, plain, whenQuiet } from './dom.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Completion} Completion */

/** How long to wait for the next letter. */
const TYPING_MS = 120;
/** Most completions that are shown. */
const COMPLETIONS_MAX = 40;

let filterBoxes = 0;

/**
 * A value as the filter language writes it.
 * @param {string} value
 */
export function filterValue(value) {
  // Text of events comes in quotes already.
  if (/^-?\d+$/.test(value) || /^0x[0-9a-f]+$/i.test(value) || /^".*"$/.test(value)) {
    return value;
  }
  return `"${value.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n').replace(/\t/g, '\\t')}"`;
}

/**
 * The condition that an event has a name.
 * @param {string} name
 */
export function eventCondition(name) {
  return `event == ${/^[a-z_]\w*$/i.test(name) ? name : filterValue(name)}`;
}

/**
 * Two conditions that shall both hold; either may be empty.
 * @param {string} a
 * @param {string} b
 */
export function bothFilters(a, b) {
  if (a.trim() === '' || b.trim() === '') {
    return a.trim() || b.trim();
  }
  const closed = (/** @type {string} */ text) => (/\|\||\bor\b/.test(text) ? `(${text})` : text);
  return `${closed(a.trim())} && ${closed(b.trim())}`;
}

export class FilterBox {
  /**
   * @param {App} app
   * @param {{ name: string, hint: string, apply: (text: string) => void, leave: () => void }} options `apply` gets
   *   an expression that the language allows; `leave` is called when Escape leaves the box
   */
  constructor(app, options) {
    this.app = app;
    this.options = options;
    filterBoxes += 1;
    const id = `filter-list-${filterBoxes}`;
    this.list = make('ul', {
      class: 'completions',
      attributes: { id, role: 'listbox', 'aria-label': 'completions' },
    });
    this.list.hidden = true;
    this.error = make('div', { class: 'filter-error', attributes: { id: `${id}-error`, 'aria-live': 'polite' } });
    this.error.hidden = true;
    this.input = make('input', {
      class: 'mono',
      attributes: {
        type: 'text',
        role: 'combobox',
        spellcheck: 'false',
        autocomplete: 'off',
        autocapitalize: 'off',
        placeholder: options.hint,
        'aria-label': options.name,
        'aria-controls': id,
        'aria-expanded': 'false',
        'aria-autocomplete': 'list',
        'aria-errormessage': `${id}-error`,
      },
    });
    this.element = make('div', { class: 'filter-box' }, this.input, this.list, this.error);
    /** @type {Completion[]} */
    this.completions = [];
    this.active = -1;
    this.asked = 0;
    const later = whenQuiet(TYPING_MS, () => this.check(true));
    this.input.addEventListener('input', () => {
      this.close();
      later();
    });
    this.input.addEventListener('keydown', (event) => this.keydown(event));
    this.input.addEventListener('blur', () => this.close());
  }

  get text() {
    return this.input.value;
  }

  /**
   * Shows an expression that applies already.
   * @param {string} text
   */
  set(text) {
    if (this.input.value !== text) {
      this.input.value = text;
    }
    this.showError(null, 0);
    this.close();
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /**
   * Asks what is wrong with the text and how it could go on; gives whether it is right, null when that is not known.
   * @param {boolean} complete whether to show completions
   */
  async check(complete) {
    this.asked += 1;
    const { asked } = this;
    const text = this.input.value;
    const cursor = this.input.selectionStart ?? text.length;
    let answer;
    try {
      answer = await this.app.source.checkFilter(text, cursor);
    } catch (error) {
      this.showError(errorText(error), 0);
      return null;
    }
    if (asked !== this.asked || text !== this.input.value) {
      return null;
    }
    // A word that can still become a right one is no mistake yet.
    const begun = Math.min(...answer.completions.map((completion) => completion.from));
    const unfinished = complete && (answer.at ?? 0) >= begun;
    this.showError(
      answer.ok || text.trim() === '' || unfinished ? null : (answer.error ?? 'not understood'),
      answer.at ?? 0,
    );
    if (complete && document.activeElement === this.input) {
      this.show(answer.completions);
    }
    return answer.ok || text.trim() === '';
  }

  /**
   * @param {string | null} text
   * @param {number} at where in the expression
   */
  showError(text, at) {
    this.error.hidden = text === null;
    this.input.setAttribute('aria-invalid', String(text !== null));
    if (text !== null) {
      const caret = make('span', { class: 'caret', text: '▲' });
      const place = Math.min(at, this.input.value.length);
      caret.style.marginLeft = `calc(8px + ${place}ch - ${this.input.scrollLeft}px)`;
      fill(this.error, caret, make('div', { text: plain(text, 400) }));
    }
  }

  /** @param {Completion[]} completions */
  show(completions) {
    this.completions = completions.slice(0, COMPLETIONS_MAX);
    this.active = -1;
    fill(
      this.list,
      ...this.completions.map((completion, index) =>
        make(
          'li',
          {
            attributes: { role: 'option', id: `${this.list.id}-${index}`, 'aria-selected': 'false' },
            on: {
              mousedown: (event) => {
                event.preventDefault();
                this.accept(index);
              },
            },
          },
          make('span', { class: 'mono', text: completion.text }),
          make('span', { class: 'faint', text: plain(completion.doc, 120) }),
        ),
      ),
    );
    this.list.hidden = this.completions.length === 0;
    this.input.setAttribute('aria-expanded', String(!this.list.hidden));
  }

  close() {
    this.list.hidden = true;
    this.active = -1;
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  /** @param {number} step */
  move(step) {
    const count = this.completions.length;
    this.list.children[this.active]?.setAttribute('aria-selected', 'false');
    this.active = (this.active + step + count + (this.active < 0 && step < 0 ? 1 : 0)) % count;
    const item = this.list.children[this.active];
    item?.setAttribute('aria-selected', 'true');
    item?.scrollIntoView({ block: 'nearest' });
    this.input.setAttribute('aria-activedescendant', item?.id ?? '');
  }

  /** @param {number} index */
  accept(index) {
    const completion = this.completions[index];
    if (completion) {
      const cursor = this.input.selectionStart ?? this.input.value.length;
      this.input.setRangeText(completion.text, Math.min(completion.from, cursor), cursor, 'end');
    }
    this.close();
    this.check(false);
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    const open = !this.list.hidden;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      if (open) {
        this.move(step);
      } else {
        this.check(true);
      }
    } else if (event.key === ' ' && event.ctrlKey) {
      this.check(true);
    } else if (event.key === 'Tab' && open && !event.shiftKey) {
      this.accept(Math.max(0, this.active));
    } else if (event.key === 'Enter' && open && this.active >= 0) {
      this.accept(this.active);
    } else if (event.key === 'Enter') {
      this.apply();
    } else if (event.key === 'Escape' && open) {
      this.close();
    } else if (event.key === 'Escape') {
      this.options.leave();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** Applies the text if the language allows it. */
  async apply() {
    this.close();
    if (await this.check(false)) {
      this.options.apply(this.input.value.trim());
    }
  }
}
