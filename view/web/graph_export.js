// Saves the picture of a graph.

import { saveFile } from './dom.js';
import { drawPicture } from './graph_canvas.js';
import { SvgContext } from './svg.js';

/** @typedef {import('./graph_draw.js').Scene} Scene */
/** @typedef {import('./graph_arrows.js').ArrowStore} ArrowStore */

/** Pixels of a saved picture for each pixel of the page. */
const PICTURE_SCALE = 2;

/**
 * Saves what is seen as SVG.
 * @param {string} name of the file, without its end
 * @param {Scene} scene
 * @param {ArrowStore} arrows
 * @param {number} names width of the names
 */
export function saveSvg(name, scene, arrows, names) {
  saveFile(`${name}.svg`, 'image/svg+xml', svgText(scene, arrows, names));
}

/**
 * What is seen as SVG.
 * @param {Scene} scene
 * @param {ArrowStore} arrows
 * @param {number} names width of the names
 */
export function svgText(scene, arrows, names) {
  const context = new SvgContext(scene.width + names, scene.height);
  drawPicture(context, scene, arrows, names);
  return context.text();
}

/**
 * Saves what is seen as PNG, in twice the resolution; says whether the browser could.
 * @param {string} name of the file, without its end
 * @param {Scene} scene
 * @param {ArrowStore} arrows
 * @param {number} names width of the names
 * @returns {Promise<boolean>}
 */
export async function savePng(name, scene, arrows, names) {
  const canvas = document.createElement('canvas');
  canvas.width = Math.round((scene.width + names) * PICTURE_SCALE);
  canvas.height = Math.round(scene.height * PICTURE_SCALE);
  const context = canvas.getContext('2d');
  if (!context) {
    return false;
  }
  context.scale(PICTURE_SCALE, PICTURE_SCALE);
  drawPicture(context, scene, arrows, names);
  const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ done) => canvas.toBlob(done, 'image/png'));
  if (blob) {
    saveFile(`${name}.png`, 'image/png', blob);
  }
  return blob !== null;
}
