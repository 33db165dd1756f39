"use strict";
// A canvas to draw a grey image on, white on black, by pointer or by keys: ink of 0 or 1 in four times the image's pixels.
class Drawing {
  constructor(canvas, drawn) {
    Object.assign(this, { canvas, drawn, shape: [1, 1, 1] });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pen = this.place(event);
      this.move(this.pen, true);
    });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) this.move(this.place(event), true); });
    canvas.addEventListener("keydown", (event) => {
      const way = { ArrowUp: [-2, 0], ArrowDown: [2, 0], ArrowLeft: [0, -2], ArrowRight: [0, 2], " ": [0, 0] }[event.key];
      if (!way) return;
      event.preventDefault();
      this.move([this.pen[0] + way[0], this.pen[1] + way[1]], event.shiftKey || event.key === " ");
    });
  }

  // An empty one, of another shape [1, height, width] where that is said.
  clear(shape = this.shape) {
    this.shape = shape;
    this.sides = [Drawing.FINE * shape[1], Drawing.FINE * shape[2]]; // rows and columns of ink
    this.ink = new Float32Array(this.sides[0] * this.sides[1]);
    this.pen = this.sides.map((side) => side / 2);
    this.show();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientY - box.top) / box.height) * this.sides[0], ((event.clientX - box.left) / box.width) * this.sides[1]];
  }

  // The pen to a place, in small steps; drawing, it leaves a dot at each.
  move(to, drawing) {
    const from = this.pen;
    const count = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let one = 1; one <= count; one += 1) {
      const along = (axis) => from[axis] + ((to[axis] - from[axis]) * one) / count;
      this.pen = [0, 1].map((axis) => Math.min(Math.max(along(axis), 0), this.sides[axis] - 1));
      if (drawing) this.dot();
    }
    this.show();
    if (drawing) this.drawn();
  }

  dot() {
    const [rows, columns] = this.sides;
    const radius = Math.max(rows, columns) / 20;
    const [y, x] = this.pen;
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(rows - 1, y + radius); row += 1) {
      for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(columns - 1, x + radius); column += 1) {
        if ((row - y) ** 2 + (column - x) ** 2 <= radius ** 2) this.ink[row * columns + column] = 1;
      }
    }
  }

  show() {
    const [rows, columns] = this.sides;
    Object.assign(this.canvas, { width: columns, height: rows });
    const data = new ImageData(columns, rows);
    this.ink.forEach((v, at) => { data.data.set([255 * v, 255 * v, 255 * v, 255], 4 * at); });
    data.data.set([255, 90, 60, 255], 4 * (Math.floor(this.pen[0]) * columns + Math.floor(this.pen[1])));
    this.canvas.getContext("2d").putImageData(data, 0, 0);
  }

  // Each pixel is the mean of its ink.
  image() {
    const image = new Float32Array(this.shape[1] * this.shape[2]);
    const columns = this.sides[1];
    this.ink.forEach((v, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns].map((place) => Math.floor(place / Drawing.FINE));
      image[row * this.shape[2] + column] += v / Drawing.FINE ** 2;
    });
    return image;
  }
}
Drawing.FINE = 4;
