// What failed, well set: the cause and the user's own line first, then the whole text with the frames of SDKs and interpreters stepped back.
//
//   readTrace(text) -> {cause, where, step, lines: [{text, kind: 'own' | 'code' | 'foreign' | 'cause' | ''}]}
//
// Reads the traces of Python, Java and Go; other text stays as it is.

import {copyButton, h} from './dom.js';

const PYTHON_FRAME = /^\s*(?:\|\s+)?File "([^"]+)", line (\d+)(?:, in (.+))?/;
const PYTHON_FOREIGN = /site-packages|dist-packages|(^|\/)apache_beam\/|\/lib\/python\d|<frozen |\/concurrent\/futures\//;
const JAVA_FRAME = /^\s*at ([\w.$/<>@-]+)\(([^)]*)\)/;
const JAVA_FOREIGN = /^(?:[\w.]+\/)?(?:java|javax|jdk|sun|com\.sun|kotlin|scala|org\.apache\.beam|io\.grpc|org\.springframework)\b|\$DoFnInvoker\b/;
const GO_FRAME = /^\s+(\/\S+\.go):(\d+)/;
const GO_FOREIGN = /github\.com\/apache\/beam|\/usr\/(local\/)?(lib\/)?go|\/go\/(src|pkg)\/|golang\.org\/toolchain/;
const CAUSE = /^(?:Caused by: |Exception in thread "[^"]*" )?(?:[A-Za-z_][\w$]*\.)*[A-Z][\w$]*(?:Error|Exception|Exit|Interrupt|Warning|Failure)\b(?:: .*| \[.*|$)|^panic: .+/;
const STEP = /\[while running '([^']+)'\]/;
const FOLD = 4;

function frameOf(line) {
  let match = PYTHON_FRAME.exec(line);
  if (match) return {isForeign: PYTHON_FOREIGN.test(match[1]), hasCode: true, where: `${match[1]}, line ${match[2]}${match[3] ? `, in ${match[3]}` : ''}`};
  match = JAVA_FRAME.exec(line);
  if (match) return {isForeign: JAVA_FOREIGN.test(match[1]), where: `${match[1]} (${match[2]})`, isFirstBest: true};
  match = GO_FRAME.exec(line);
  if (match) return {isForeign: GO_FOREIGN.test(match[1]), where: `${match[1]}, line ${match[2]}`, isFirstBest: true};
  return null;
}

export function readTrace(text) {
  const read = {cause: '', where: '', step: STEP.exec(text)?.[1] || '', lines: []};
  let code = null, isInnermostKnown = false;
  for (const line of text.replace(/\n+$/, '').split('\n')) {
    const frame = frameOf(line);
    let kind = '';
    if (frame) {
      kind = frame.isForeign ? 'foreign' : 'own';
      // Python's innermost frame is the last, Java's and Go's the first.
      if (!frame.isForeign && !(frame.isFirstBest && isInnermostKnown)) [read.where, isInnermostKnown] = [frame.where, true];
      code = frame.hasCode ? kind : null;
    } else if (code && /^\s{4}/.test(line)) {
      kind = code === 'own' ? 'code' : 'foreign';
    } else {
      code = null;
      if (CAUSE.test(line)) {
        kind = 'cause';
        if (line.startsWith('Caused by: ')) isInnermostKnown = false;
        read.cause = line;
      } else if (/^\s*Traceback \(most recent call last\):|^\s*\.\.\. \d+ more$/.test(line)) {
        kind = 'foreign';
      }
    }
    read.lines.push({text: line, kind});
  }
  read.cause = read.cause.replace(/^Caused by: /, '').replace(STEP, '').trim();
  return read;
}

// The lines as elements; a longer run of foreign ones can be opened.
export function traceBlock(text) {
  const {lines} = readTrace(text);
  const block = h('div', {class: 'trace', tabindex: 0, role: 'region', 'aria-label': 'Trace'});
  const put = (parent, line) => parent.append(h('span', {class: line.kind || null}, `${line.text}\n`));
  for (let i = 0; i < lines.length;) {
    let end = i + 1;
    while (end < lines.length && lines[end].kind === lines[i].kind) end++;
    if (lines[i].kind === 'foreign' && end - i > FOLD) {
      const fold = h('details', null, h('summary', null, `${end - i} lines of the SDK and the interpreter`));
      lines.slice(i, end).forEach((line) => put(fold, line));
      block.append(fold);
    } else {
      lines.slice(i, end).forEach((line) => put(block, line));
    }
    i = end;
  }
  return h('div', {class: 'trace-frame'}, copyButton('Copy', () => text), block);
}
