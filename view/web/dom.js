// Making elements, and text from a trace that can do no harm.

/** @typedef {string | number | Node | null | undefined | false} Child */
/**
 * @typedef {object} Properties
 * @property {string} [class]
 * @property {string} [text] shown as it is, never as markup
 * @property {string} [title]
 * @property {Record<string, string | number | boolean | null | undefined>} [attributes] null and false leave one out
 * @property {Record<string, (event: any) => void>} [on] what to call, by the name of the event
 */

/**
 * Makes an element with properties and children; text among the children stays text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Properties} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  if (properties.class) {
    element.className = properties.class;
  }
  if (properties.text !== undefined) {
    element.textContent = properties.text;
  }
  if (properties.title) {
    element.title = properties.title;
  }
  for (const [name, value] of Object.entries(properties.attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  for (const [name, call] of Object.entries(properties.on ?? {})) {
    element.addEventListener(name, call);
  }
  append(element, children);
  return element;
}

/**
 * Appends what there is of children.
 * @param {Node} parent
 * @param {Child[]} children
 */
export function append(parent, children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }
}

/**
 * Puts children where others were.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * A button that does something.
 * @param {string} text
 * @param {() => void} call
 * @param {string} [title]
 */
export function button(text, call, title) {
  return make('button', { text, title, attributes: { type: 'button' }, on: { click: call } });
}

/**
 * A control with its name before it.
 * @param {string} name
 * @param {HTMLElement} control
 */
export function labelled(name, control) {
  return make('label', { class: 'labelled' }, make('span', { text: name }), control);
}

/**
 * A list to choose from.
 * @param {[string, string][]} options pairs of a value and what is shown
 * @param {string} value
 * @param {(value: string) => void} call
 */
export function choice(options, value, call) {
  const select = make('select', { on: { change: () => call(select.value) } });
  setOptions(select, options, value);
  return select;
}

/**
 * Gives a list other options; nothing is touched where they are the same.
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} options
 * @param {string} value
 */
export function setOptions(select, options, value) {
  const old = [...select.options].map((option) => `${option.value}\n${option.text}`).join('\n');
  if (old !== options.map(([name, text]) => `${name}\n${text}`).join('\n')) {
    fill(select, ...options.map(([name, text]) => make('option', { text, attributes: { value: name } })));
  }
  select.value = value;
}

/**
 * A button that opens a small box; it closes when the focus leaves it, and on Escape.
 * @param {string} text
 * @param {...Child} children
 */
export function menu(text, ...children) {
  const body = make('div', { class: 'menu-body' }, ...children);
  const element = make('details', { class: 'menu' }, make('summary', { text }), body);
  element.addEventListener('focusout', (event) => {
    if (event.relatedTarget instanceof Node && !element.contains(event.relatedTarget)) {
      element.open = false;
    }
  });
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && element.open) {
      element.open = false;
      event.stopPropagation();
    }
  });
  addEventListener('pointerdown', (event) => {
    if (element.open && event.target instanceof Node && !element.contains(event.target)) {
      element.open = false;
    }
  });
  return element;
}

/** Characters that would turn the direction of text around, or show nothing. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Text of a trace for one line: what cannot be seen is written out, and what is too long is cut.
 * @param {string} text
 * @param {number} [length] most characters
 */
export function plain(text, length = 300) {
  const cut = text.length > length ? `${text.slice(0, length)}…` : text;
  return cut.replace(UNSEEN, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x80 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

/**
 * Calls once in the next frame, however often it is asked to.
 * @param {() => void} call
 * @returns {() => void}
 */
export function oncePerFrame(call) {
  let waits = false;
  return () => {
    if (!waits) {
      waits = true;
      requestAnimationFrame(() => {
        waits = false;
        call();
      });
    }
  };
}

/**
 * Calls when nobody has asked for so long.
 * @param {number} milliseconds
 * @param {() => void} call
 * @returns {() => void}
 */
export function whenQuiet(milliseconds, call) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}

/**
 * Fits a canvas to its place and gives its context, in which a unit is a pixel of the page.
 * @param {HTMLCanvasElement} canvas
 * @returns {{ context: CanvasRenderingContext2D, width: number, height: number } | null}
 */
export function fitCanvas(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext('2d');
  if (!context || width === 0 || height === 0) {
    return null;
  }
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/**
 * Saves text as a file.
 * @param {string} name
 * @param {string} type
 * @param {BlobPart} content
 */
export function saveFile(name, type, content) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  make('a', { attributes: { href: address, download: name } }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/**
 * Copies text; says whether it worked, which it does not where the browser forbids it.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = make('textarea', { class: 'unseen' });
    area.value = text;
    document.body.append(area);
    area.select();
    const worked = document.execCommand('copy');
    area.remove();
    return worked;
  }
}

/**
 * Whether what went wrong is only that nobody wants the answer any more.
 * @param {unknown} error
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === 'AbortError';
}

/**
 * What went wrong, for people.
 * @param {unknown} error
 */
export function errorText(error) {
  return error instanceof Error ? error.message : String(error);
}
