// A drawing context that writes SVG: as much of CanvasRenderingContext2D as the graph draws with.

/** What is drawn on: a canvas, or a picture to save. */
/**
 * @typedef {Pick<CanvasRenderingContext2D, 'fillStyle' | 'strokeStyle' | 'lineWidth' | 'font' | 'globalAlpha' |
 *   'textAlign' | 'textBaseline' | 'save' | 'restore' | 'translate' | 'beginPath' | 'moveTo' | 'lineTo' | 'closePath' |
 *   'rect' | 'clip' | 'fill' | 'stroke' | 'fillRect' | 'fillText' | 'setLineDash'>} DrawingContext
 */

/** Characters that XML cannot hold, written or not. */
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff\ud800-\udfff]/gu;

/**
 * Text as XML holds it.
 * @param {string} text
 */
export function xmlText(text) {
  return text.replace(NOT_XML, '\ufffd').replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;');
}

/**
 * A coordinate with two digits.
 * @param {number} value
 */
function svgNumber(value) {
  return String(Math.round(value * 100) / 100);
}

/** Records what is drawn as SVG. */
export class SvgContext {
  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    /** @type {string | CanvasGradient | CanvasPattern} */
    this.fillStyle = '#000000';
    /** @type {string | CanvasGradient | CanvasPattern} */
    this.strokeStyle = '#000000';
    this.lineWidth = 1;
    this.font = '11px sans-serif';
    this.globalAlpha = 1;
    /** @type {CanvasTextAlign} */
    this.textAlign = 'start';
    /** @type {CanvasTextBaseline} */
    this.textBaseline = 'alphabetic';
    /** @type {number[]} */
    this.dash = [];
    this.path = '';
    /** @type {string[]} */
    this.parts = [];
    /** @type {{ style: object, groups: number }[]} */
    this.saved = [];
    this.groups = 0;
    this.clips = 0;
  }

  save() {
    const { fillStyle, strokeStyle, lineWidth, font, globalAlpha, textAlign, textBaseline, dash } = this;
    const style = { fillStyle, strokeStyle, lineWidth, font, globalAlpha, textAlign, textBaseline, dash };
    this.saved.push({ style, groups: this.groups });
  }

  restore() {
    const last = this.saved.pop();
    if (last) {
      Object.assign(this, last.style);
      while (this.groups > last.groups) {
        this.closeGroup();
      }
    }
  }

  closeGroup() {
    this.parts.push('</g>');
    this.groups -= 1;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  translate(x, y) {
    this.parts.push(`<g transform="translate(${svgNumber(x)} ${svgNumber(y)})">`);
    this.groups += 1;
  }

  beginPath() {
    this.path = '';
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  moveTo(x, y) {
    this.path += `M${svgNumber(x)} ${svgNumber(y)}`;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  lineTo(x, y) {
    this.path += `L${svgNumber(x)} ${svgNumber(y)}`;
  }

  closePath() {
    this.path += 'Z';
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  rect(x, y, width, height) {
    this.path += `M${svgNumber(x)} ${svgNumber(y)}h${svgNumber(width)}v${svgNumber(height)}h${svgNumber(-width)}Z`;
  }

  clip() {
    this.clips += 1;
    this.parts.push(`<clipPath id="c${this.clips}"><path d="${this.path}"/></clipPath>`);
    this.parts.push(`<g clip-path="url(#c${this.clips})">`);
    this.groups += 1;
  }

  fill() {
    this.parts.push(`<path d="${this.path}"${this.paint('fill', this.fillStyle)}/>`);
  }

  stroke() {
    const dash = this.dash.length > 0 ? ` stroke-dasharray="${this.dash.map(svgNumber).join(' ')}"` : '';
    const width = ` stroke-width="${svgNumber(this.lineWidth)}"`;
    this.parts.push(`<path d="${this.path}" fill="none"${this.paint('stroke', this.strokeStyle)}${width}${dash}/>`);
  }

  /**
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  fillRect(x, y, width, height) {
    const place = `x="${svgNumber(x)}" y="${svgNumber(y)}" width="${svgNumber(width)}" height="${svgNumber(height)}"`;
    this.parts.push(`<rect ${place}${this.paint('fill', this.fillStyle)}/>`);
  }

  /**
   * @param {string} text
   * @param {number} x
   * @param {number} y
   */
  fillText(text, x, y) {
    const anchor = { center: 'middle', right: 'end', end: 'end', left: 'start', start: 'start' }[this.textAlign];
    const base = { middle: 'central', top: 'hanging' }[/** @type {string} */ (this.textBaseline)] ?? 'auto';
    const place = `x="${svgNumber(x)}" y="${svgNumber(y)}" text-anchor="${anchor}" dominant-baseline="${base}"`;
    const [, size = '11', family = 'sans-serif'] = /^(\d+)px (.+)$/.exec(this.font) ?? [];
    const font = ` font-size="${size}" font-family="${xmlText(family)}" xml:space="preserve"`;
    this.parts.push(`<text ${place}${font}${this.paint('fill', this.fillStyle)}>${xmlText(text)}</text>`);
  }

  /** @param {number[]} dash */
  setLineDash(dash) {
    this.dash = [...dash];
  }

  /**
   * @param {string} name
   * @param {string | CanvasGradient | CanvasPattern} style
   */
  paint(name, style) {
    const alpha = this.globalAlpha < 1 ? ` ${name}-opacity="${svgNumber(this.globalAlpha)}"` : '';
    return ` ${name}="${xmlText(String(style))}"${alpha}`;
  }

  /** The picture as a file. */
  text() {
    while (this.groups > 0) {
      this.closeGroup();
    }
    const size = `width="${svgNumber(this.width)}" height="${svgNumber(this.height)}"`;
    const box = `viewBox="0 0 ${svgNumber(this.width)} ${svgNumber(this.height)}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${box}>\n${this.parts.join('\n')}\n</svg>\n`;
  }
}
