// Findings (findings.js) as notices.

import {h, keep, setAttribute, setClass, setText} from './dom.js';

const WORDS = {error: 'Error', warning: 'Warning', note: 'Note'};

function make() {
  const title = h('strong'), text = h('span', {class: 'text'}), links = h('span', {class: 'links'});
  const element = h('div', null, title, ' ', text, ' ', links);
  element.parts = {title, text, links};
  return element;
}

// href(to) makes an address of a link's `to`.
export function showFindings(parent, findings, href) {
  keep(parent, findings, (finding) => finding.id, make, (element, finding) => {
    const {title, text, links} = element.parts;
    setClass(element, 'notice', finding.level);
    setAttribute(element, 'aria-label', WORDS[finding.level]);
    setText(title, finding.title);
    setText(text, finding.text);
    keep(links, finding.links, (link) => link.text, () => h('a'), (a, link) => {
      setText(a, link.text);
      setAttribute(a, 'href', href(link.to));
    });
  });
}
