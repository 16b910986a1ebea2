// Moves and scales what is drawn in an SVG: mouse, wheel, one finger, two fingers, keys. The drawing is one group, whose transform is set.

const LEAST = 0.05, MOST = 2.5, STEP = 1.25, KEY_PX = 80;
const CLICK_PX = 5;

export class PanZoom {
  scale = 1;
  x = 0;
  y = 0;
  #pane;
  #group;
  #size = {width: 1, height: 1};
  #pointers = new Map();
  #moved = 0;
  #onChange;

  constructor(pane, group, onChange) {
    this.#pane = pane;
    this.#group = group;
    this.#onChange = onChange;
    pane.addEventListener('pointerdown', (event) => this.#down(event));
    pane.addEventListener('pointermove', (event) => this.#move(event));
    for (const name of ['pointerup', 'pointercancel', 'pointerleave']) pane.addEventListener(name, (event) => this.#up(event));
    pane.addEventListener('wheel', (event) => this.#wheel(event), {passive: false});
    pane.addEventListener('keydown', (event) => this.#key(event));
    // What ended a drag is no click.
    pane.addEventListener('click', (event) => { if (this.#moved > CLICK_PX) event.stopPropagation(); }, true);
  }

  // Of the drawing, in its own units.
  setSize(width, height) {
    this.#size = {width, height};
  }

  #apply() {
    this.#group.setAttribute('transform', `translate(${this.x.toFixed(1)} ${this.y.toFixed(1)}) scale(${this.scale.toFixed(4)})`);
    this.#onChange();
  }

  // Around a point of the pane; its middle if none is given.
  zoom(factor, x, y) {
    const box = this.#pane.getBoundingClientRect();
    x ??= box.width / 2;
    y ??= box.height / 2;
    const scale = Math.min(MOST, Math.max(LEAST, this.scale * factor));
    this.x = x - (x - this.x) * scale / this.scale;
    this.y = y - (y - this.y) * scale / this.scale;
    this.scale = scale;
    this.#apply();
  }

  in() {
    this.zoom(STEP);
  }

  out() {
    this.zoom(1 / STEP);
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#apply();
  }

  // All of it, at its own size at most.
  fit() {
    const box = this.#pane.getBoundingClientRect();
    if (!box.width) return;
    this.scale = Math.max(LEAST, Math.min(1, box.width / this.#size.width, box.height / this.#size.height));
    this.x = (box.width - this.#size.width * this.scale) / 2;
    this.y = Math.max(0, (box.height - this.#size.height * this.scale) / 2);
    this.#apply();
  }

  // A point of the drawing to the pane's middle.
  centre(x, y, scale) {
    const box = this.#pane.getBoundingClientRect();
    this.scale = scale || this.scale;
    this.x = box.width / 2 - x * this.scale;
    this.y = box.height / 2 - y * this.scale;
    this.#apply();
  }

  // The part of the drawing that is seen.
  seen() {
    const box = this.#pane.getBoundingClientRect();
    return {x: -this.x / this.scale, y: -this.y / this.scale, width: box.width / this.scale, height: box.height / this.scale};
  }

  #down(event) {
    if (event.button > 0) return;
    this.#moved = 0;
    this.#pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
  }

  #move(event) {
    const last = this.#pointers.get(event.pointerId);
    if (!last) return;
    const now = {x: event.clientX, y: event.clientY};
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    this.#pointers.set(event.pointerId, now);
    this.#moved += Math.abs(now.x - last.x) + Math.abs(now.y - last.y);
    if (this.#moved > CLICK_PX && !this.#pane.hasPointerCapture(event.pointerId)) this.#pane.setPointerCapture(event.pointerId);
    if (others.length === 1) {
      const box = this.#pane.getBoundingClientRect();
      const away = (point) => Math.hypot(point.x - others[0].x, point.y - others[0].y) || 1;
      this.pan((now.x - last.x) / 2, (now.y - last.y) / 2);
      this.zoom(away(now) / away(last), (now.x + others[0].x) / 2 - box.x, (now.y + others[0].y) / 2 - box.y);
    } else if (this.#moved > CLICK_PX) {
      this.pan(now.x - last.x, now.y - last.y);
    }
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.#pane.getBoundingClientRect();
    if (event.shiftKey) this.pan(-event.deltaY - event.deltaX, 0);
    else this.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) * 0.006), event.clientX - box.x, event.clientY - box.y);
  }

  #key(event) {
    const moves = {ArrowLeft: [KEY_PX, 0], ArrowRight: [-KEY_PX, 0], ArrowUp: [0, KEY_PX], ArrowDown: [0, -KEY_PX]};
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) this.pan(...moves[event.key]);
    else if (event.key === '+' || event.key === '=') this.in();
    else if (event.key === '-') this.out();
    else if (event.key === '0') this.fit();
    else return;
    event.preventDefault();
  }
}
