"use strict";
// Turns the meshes of the cards. Camera, light and colours are those of the still pictures: azimuth 0 looks
// from the front (+Z), a head light, shading in linear RGB.
(() => {
  const dialog = document.getElementById("viewer");
  const part = (selector) => dialog.querySelector(selector);
  const canvas = part("canvas"), message = part(".message"), link = part(".bottom a");
  const cards = [...document.querySelectorAll("figure")].filter((card) => card.querySelector("script.mesh"));
  const FIELD_OF_VIEW = 38 * Math.PI / 180, STEP = 7.5, CREASE = Math.cos(40 * Math.PI / 180);
  const FIRST_VIEW = {azimuth: 30, elevation: 20, zoom: 1};

  const VERTEX_SHADER = `
    attribute vec3 position, normal, colour;
    uniform mat3 turn;
    uniform vec3 centre;
    uniform vec2 scale;
    uniform float away, near, far;
    varying vec3 n, eye, shade;
    void main() {
      vec3 p = turn * (position - centre) - vec3(0.0, 0.0, away);
      n = turn * normal;
      eye = p;
      shade = colour;
      gl_Position = vec4(p.xy * scale, (-p.z * (far + near) - 2.0 * far * near) / (far - near), -p.z);
    }`;
  const FRAGMENT_SHADER = `
    precision highp float;
    varying vec3 n, eye, shade;
    void main() {
      float light = 0.3 + 0.7 * abs(dot(normalize(n), normalize(eye)));
      gl_FragColor = vec4(pow(pow(shade, vec3(2.2)) * light, vec3(1.0 / 2.2)), 1.0);
    }`;

  // The layout stands in page_mesh.h.
  function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const [vertices, triangles, coloured] = new Uint32Array(bytes.buffer, 0, 3);
    const frame = new Float32Array(bytes.buffer, 12, 6);
    const places = new Uint16Array(bytes.buffer, 36, 3 * vertices);
    const positions = Float32Array.from(places, (q, i) => frame[i % 3] + q * frame[3 + i % 3]);
    const indices = new Uint16Array(bytes.buffer, 36 + 6 * vertices, 3 * triangles);
    const colours = coloured ? bytes.subarray(36 + 6 * vertices + 6 * triangles) : null;
    return {positions, indices, colours};
  }

  // Three corners a triangle. A corner's normal is the mean of the faces around it that bend away by less
  // than the crease, so that curves look smooth and edges stay sharp.
  function corners({positions, indices, colours}) {
    const count = indices.length, faces = count / 3;
    const areas = new Float32Array(count), units = new Float32Array(count);
    const around = Array.from({length: positions.length / 3}, () => []);
    for (let face = 0; face < faces; ++face) {
      const [a, b, c] = [0, 1, 2].map((k) => 3 * indices[3 * face + k]);
      const e = [0, 1, 2].map((k) => positions[b + k] - positions[a + k]);
      const f = [0, 1, 2].map((k) => positions[c + k] - positions[a + k]);
      const normal = [e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0]];
      const length = Math.hypot(...normal) || 1;
      for (let k = 0; k < 3; ++k) {
        areas[3 * face + k] = normal[k];
        units[3 * face + k] = normal[k] / length;
        around[indices[3 * face + k]].push(face);
      }
    }
    const result = {
      position: new Float32Array(3 * count),
      normal: new Float32Array(3 * count),
      colour: new Uint8Array(3 * count).fill(203)
    };
    for (let corner = 0; corner < count; ++corner) {
      const vertex = indices[corner], own = 3 * Math.floor(corner / 3);
      for (const other of around[vertex]) {
        let cosine = 0;
        for (let k = 0; k < 3; ++k) cosine += units[own + k] * units[3 * other + k];
        if (cosine < CREASE && 3 * other !== own) continue;
        for (let k = 0; k < 3; ++k) result.normal[3 * corner + k] += areas[3 * other + k];
      }
      for (let k = 0; k < 3; ++k) {
        result.position[3 * corner + k] = positions[3 * vertex + k];
        if (colours) result.colour[3 * corner + k] = colours[3 * vertex + k];
      }
    }
    return result;
  }

  function boundingSphere(positions) {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    positions.forEach((x, i) => {
      low[i % 3] = Math.min(low[i % 3], x);
      high[i % 3] = Math.max(high[i % 3], x);
    });
    const centre = low.map((x, k) => (x + high[k]) / 2);
    let radius = 0;
    for (let i = 0; i < positions.length; i += 3)
      radius = Math.max(radius, Math.hypot(...centre.map((x, k) => positions[i + k] - x)));
    return {centre, radius: radius || 1};
  }

  class Painter {
    constructor(gl) {
      this.gl = gl;
      const program = this.program = gl.createProgram();
      for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, text);
        gl.compileShader(shader);
        gl.attachShader(program, shader);
      }
      gl.linkProgram(program);
      if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
      gl.useProgram(program);
      gl.enable(gl.DEPTH_TEST);
      gl.clearColor(1, 1, 1, 1);
      this.buffers = {position: gl.createBuffer(), normal: gl.createBuffer(), colour: gl.createBuffer()};
    }

    load(mesh) {
      const gl = this.gl, arrays = corners(mesh);
      this.count = mesh.indices.length;
      this.sphere = boundingSphere(mesh.positions);
      for (const [name, array] of Object.entries(arrays)) {
        const place = gl.getAttribLocation(this.program, name), bytes = array instanceof Uint8Array;
        gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
        gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW);
        gl.enableVertexAttribArray(place);
        gl.vertexAttribPointer(place, 3, bytes ? gl.UNSIGNED_BYTE : gl.FLOAT, bytes, 0, 0);
      }
    }

    draw(view) {
      const gl = this.gl, {width, height} = gl.canvas, {centre, radius} = this.sphere;
      const uniform = (name) => gl.getUniformLocation(this.program, name);
      const a = view.azimuth * Math.PI / 180, e = view.elevation * Math.PI / 180;
      const [sa, ca, se, ce] = [Math.sin(a), Math.cos(a), Math.sin(e), Math.cos(e)];
      const f = 1 / Math.tan(FIELD_OF_VIEW / 2), aspect = width / height;
      const reach = Math.min(1, aspect) * Math.tan(FIELD_OF_VIEW / 2);
      const away = radius * Math.hypot(1, 1 / reach) / view.zoom;
      gl.viewport(0, 0, width, height);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.uniformMatrix3fv(uniform("turn"), false, [ca, -sa * se, sa * ce, 0, ce, se, -sa, -ca * se, ca * ce]);
      gl.uniform3fv(uniform("centre"), centre);
      gl.uniform2f(uniform("scale"), f / aspect, f);
      gl.uniform1f(uniform("away"), away);
      gl.uniform1f(uniform("near"), Math.max(away - radius, 0.02 * radius));
      gl.uniform1f(uniform("far"), away + radius);
      gl.drawArrays(gl.TRIANGLES, 0, this.count);
    }
  }

  let painter = null, shown = 0, view = {...FIRST_VIEW}, waiting = false;

  function redraw() {
    if (waiting || !painter || !dialog.open) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const dense = Math.min(window.devicePixelRatio || 1, 2);
      canvas.width = Math.max(1, Math.round(canvas.clientWidth * dense));
      canvas.height = Math.max(1, Math.round(canvas.clientHeight * dense));
      painter.draw(view);
    });
  }

  function turn(azimuth, elevation) {
    view.azimuth = (view.azimuth + azimuth) % 360;
    view.elevation = Math.max(-90, Math.min(90, view.elevation + elevation));
    redraw();
  }

  function zoom(factor) {
    view.zoom = Math.max(0.3, Math.min(6, view.zoom * factor));
    redraw();
  }

  function startAgain() {
    view = {...FIRST_VIEW};
    redraw();
  }

  // False where the browser draws no WebGL.
  function prepare() {
    if (painter) return true;
    const gl = canvas.getContext("webgl", {antialias: true, alpha: false});
    if (gl) painter = new Painter(gl);
    return painter !== null;
  }

  function show(number) {
    shown = (number + cards.length) % cards.length;
    const card = cards[shown], file = card.querySelector("a.mesh");
    part(".top p").textContent = card.querySelector("p").textContent;
    canvas.setAttribute("aria-label", "the mesh of: " + part(".top p").textContent);
    link.href = file.getAttribute("href");
    if (!dialog.open) dialog.showModal();
    const drawn = prepare();
    canvas.hidden = !drawn;
    message.hidden = drawn;
    if (!drawn) return;
    painter.load(unpack(card.querySelector("script.mesh").textContent));
    canvas.focus();
    startAgain();
  }

  const keys = {
    ArrowLeft: () => turn(-STEP, 0),
    ArrowRight: () => turn(STEP, 0),
    ArrowUp: () => turn(0, STEP),
    ArrowDown: () => turn(0, -STEP),
    "+": () => zoom(1.15),
    "=": () => zoom(1.15),
    "-": () => zoom(1 / 1.15),
    Home: startAgain,
    PageDown: () => show(shown + 1),
    PageUp: () => show(shown - 1)
  };
  dialog.addEventListener("keydown", (event) => {
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  // One pointer turns, two zoom by the distance between them.
  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y) || 1;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const before = pointers.size === 2 ? spread() : 0;
    const dx = event.clientX - last.x, dy = event.clientY - last.y;
    pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
    if (pointers.size === 1) turn(-dx / 2, dy / 2);
    if (pointers.size === 2) zoom(spread() / before);
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 500));
  }, {passive: false});
  canvas.addEventListener("dblclick", startAgain);
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => {
    painter = null;
    if (dialog.open) show(shown);
  });
  new ResizeObserver(redraw).observe(canvas);

  part(".close").addEventListener("click", () => dialog.close());
  part(".previous").addEventListener("click", () => show(shown - 1));
  part(".next").addEventListener("click", () => show(shown + 1));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();  // beside it
  });
  dialog.addEventListener("close", () => pointers.clear());

  cards.forEach((card, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "turn it";
    card.querySelector("figcaption").append(button);
    card.classList.add("turnable");
    card.addEventListener("click", (event) => {
      if (!event.target.closest("a") && !String(getSelection())) show(number);
    });
  });
})();
