// The latest answer to a question that changes faster than it can be answered.

import { errorText, isAbort } from './dom.js';

/**
 * Asks once the question has been the same for a while; what was answered last stays until then.
 * @template T
 */
export class LatestAnswer {
  /**
   * @param {number} quiet milliseconds
   * @param {() => void} changed called when there is another answer
   * @param {(text: string) => void} [failed] called with a sentence
   */
  constructor(quiet, changed, failed) {
    this.quiet = quiet;
    this.changed = changed;
    this.failed = failed;
    /** @type {T | null} */
    this.value = null;
    /** The question that `value` answers. */
    this.answered = '';
    this.asked = '';
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {AbortController | null} */
    this.abort = null;
  }

  /** Whether the answer to the latest question is there. */
  get current() {
    return this.asked === this.answered;
  }

  /**
   * Asks, unless it has been asked already; an empty key forgets everything.
   * @param {string} key
   * @param {(signal: AbortSignal) => Promise<T>} ask
   */
  want(key, ask) {
    if (key === this.asked) {
      return;
    }
    this.asked = key;
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = null;
    if (key === '') {
      this.value = null;
      this.answered = '';
    } else {
      this.timer = setTimeout(() => this.put(key, ask), this.value === null ? 0 : this.quiet);
    }
  }

  /**
   * @param {string} key
   * @param {(signal: AbortSignal) => Promise<T>} ask
   */
  async put(key, ask) {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const value = await ask(abort.signal);
      if (this.abort === abort) {
        this.value = value;
        this.answered = key;
        this.changed();
      }
    } catch (error) {
      if (this.abort === abort && !isAbort(error)) {
        this.value = null;
        this.answered = key;
        this.failed?.(errorText(error));
        this.changed();
      }
    }
  }
}
