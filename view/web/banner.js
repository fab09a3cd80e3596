// What was lost and what is doubtful, said above every page.

import { button, fill, make, plain } from './dom.js';
import { countText, timeText } from './time.js';
import { showTime } from './page_parts.js';

/** @typedef {import('./types.d.ts').App} App */
/** @typedef {import('./types.d.ts').Finding} Finding */

/** How bad findings can be, the worst first. */
const SEVERITIES = ['error', 'data_loss', 'notice', 'info'];

/**
 * Findings as list items.
 * @param {Finding[]} findings
 */
export function findingItems(findings) {
  return findings.map((finding) =>
    make(
      'li',
      { class: `finding ${finding.severity}` },
      make('b', { text: finding.severity.replace('_', ' ') }),
      finding.count === null ? '' : ` ${countText(finding.count)} ×`,
      ` ${plain(finding.text, 1000)}`,
      finding.advice ? make('span', { class: 'faint', text: ` Hint: ${plain(finding.advice, 500)}` }) : null,
    ),
  );
}

export class Banner {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.open = false;
    this.element = make('div', {
      class: 'banner',
      attributes: { role: 'region', 'aria-label': 'losses and findings' },
    });
  }

  /** Says what there is now. */
  update() {
    const { findings, losses } = this.app.meta;
    const bad = findings.filter((one) => one.severity === 'error' || one.severity === 'data_loss');
    this.element.hidden = findings.length === 0 && losses.length === 0;
    const isBad = bad.length > 0 || losses.length > 0;
    this.element.className = isBad ? 'banner bad' : 'banner';
    const sorted = [...findings].sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
    const toggle = button(this.open ? 'Hide' : 'Show', () => {
      this.open = !this.open;
      this.update();
    });
    toggle.setAttribute('aria-expanded', String(this.open));
    fill(
      this.element,
      make('span', { class: 'headline', text: this.headline(bad) }),
      ' ',
      toggle,
      this.open && make('ul', {}, ...findingItems(sorted), ...this.lossItems()),
    );
  }

  /** @param {Finding[]} bad */
  headline(bad) {
    const { findings, losses } = this.app.meta;
    const parts = [];
    if (losses.length > 0) {
      const known = losses.reduce((sum, loss) => sum + (loss.count ?? 0), 0);
      const number =
        known > 0
          ? `: ${countText(known)} events${losses.some((loss) => loss.count === null) ? ' and more' : ''}`
          : '';
      parts.push(`Data was lost at ${countText(losses.length)} places${number}.`);
    }
    const first = bad[0];
    if (first) {
      parts.push(plain(first.text, 160));
    }
    const others = findings.length - (first ? 1 : 0);
    if (others > 0) {
      parts.push(`${others} ${first ? 'more ' : ''}${others === 1 ? 'finding' : 'findings'} about this trace.`);
    }
    return parts.join(' ');
  }

  /** @param {number} ns */
  goTo(ns) {
    if (this.app.state.view === 'raw') {
      this.app.go({ cursor: ns }, 'push');
    } else {
      showTime(this.app, ns);
    }
  }

  /** Places of losses, each with a way to go there. */
  lossItems() {
    const { losses } = this.app.meta;
    return losses.slice(0, 100).map((loss) =>
      make(
        'li',
        {},
        button(`${timeText(loss.at, 1000)} s`, () => this.goTo(loss.at), 'Put the cursor there'),
        ` CPU ${loss.cpu}: ${loss.count === null ? 'an unknown number of' : countText(loss.count)} events lost`,
      ),
    );
  }
}
