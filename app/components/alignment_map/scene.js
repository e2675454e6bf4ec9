// Drawing with WebGL2: points with a shape per modality, lines coloured by cosine, one context for all panes.

const POINT_VERTEX = `#version 300 es
layout(location=0) in vec2 a_from; layout(location=1) in vec2 a_to;
layout(location=2) in vec4 a_colour; layout(location=3) in float a_shape; layout(location=4) in float a_state;
uniform vec2 u_centre, u_scale; uniform float u_mix, u_size;
out vec4 v_colour; flat out int v_shape;
void main() {
  vec2 p = mix(a_from, a_to, u_mix);
  bool hidden = a_state < .5 || !(p.x == p.x);
  gl_Position = hidden ? vec4(2., 2., 2., 1.) : vec4((p - u_centre) * u_scale, 0., 1.);
  gl_PointSize = u_size * (a_state > 2.5 ? 1.5 : 1.) * (a_shape > 2.5 ? 1.25 : 1.);
  v_colour = a_colour; v_shape = int(a_shape + .5);
}`;

const POINT_FRAGMENT = `#version 300 es
precision mediump float;
in vec4 v_colour; flat in int v_shape; out vec4 colour;
void main() {
  vec2 p = gl_PointCoord * 2. - 1.; float d;
  if (v_shape == 0) d = length(p);
  else if (v_shape == 1) d = max(abs(p.x), abs(p.y)) * 1.15;
  else if (v_shape == 2) d = abs(p.x) + abs(p.y);
  else { float a = atan(p.x, -p.y); d = length(p) / (.62 + .38 * cos(a * 5.)); }
  if (d > 1.) discard;
  colour = v_colour;
}`;

const LINE_VERTEX = `#version 300 es
layout(location=0) in vec2 a_from; layout(location=1) in vec2 a_to; layout(location=2) in vec4 a_colour; layout(location=3) in float a_cosine;
uniform vec2 u_centre, u_scale, u_range; uniform float u_mix;
out vec4 v_colour;
void main() {
  vec2 p = mix(a_from, a_to, u_mix);
  bool hidden = a_cosine < u_range.x || a_cosine > u_range.y || !(p.x == p.x);
  gl_Position = hidden ? vec4(2., 2., 2., 1.) : vec4((p - u_centre) * u_scale, 0., 1.);
  v_colour = hidden ? vec4(0.) : a_colour;
}`;

const LINE_FRAGMENT = `#version 300 es
precision mediump float;
in vec4 v_colour; out vec4 colour;
void main() { if (v_colour.a <= 0.) discard; colour = v_colour; }`;

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) || "shader error");
  const uniforms = {};
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(made, i);
    uniforms[name] = gl.getUniformLocation(made, name);
  }
  return { made, uniforms };
}

class Scene {
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("no WebGL2");
    this.gl = gl;
    this.prepare();
  }

  prepare() { // also once the browser gives a lost context back; its buffers are to be put again
    const { gl } = this;
    this.point = program(gl, POINT_VERTEX, POINT_FRAGMENT);
    this.line = program(gl, LINE_VERTEX, LINE_FRAGMENT);
    this.buffers = new Map();
    this.list = gl.createBuffer();
    this.lineCount = 0;
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.SCISSOR_TEST);
  }

  put(name, array) {
    const { gl } = this;
    if (!this.buffers.has(name)) this.buffers.set(name, gl.createBuffer());
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.get(name));
    gl.bufferData(gl.ARRAY_BUFFER, array, gl.DYNAMIC_DRAW);
  }

  attribute(location, name, size, type, normalised) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers.get(name));
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, type, normalised, 0, 0);
  }

  // One pane: `frame` = {left, bottom, width, height} in device pixels, `from`/`to` stages and the mix between them.
  pane(frame, view, from, to, mix, look) {
    const { gl } = this;
    gl.viewport(frame.left, frame.bottom, frame.width, frame.height);
    gl.scissor(frame.left, frame.bottom, frame.width, frame.height);
    const set = ({ made, uniforms }) => {
      gl.useProgram(made);
      gl.uniform2f(uniforms.u_centre, view.x, view.y);
      gl.uniform2f(uniforms.u_scale, (2 * view.scale * look.ratio) / frame.width, (2 * view.scale * look.ratio) / frame.height);
      gl.uniform1f(uniforms.u_mix, mix);
      return uniforms;
    };
    if (this.lineCount && look.lines) {
      const uniforms = set(this.line);
      gl.uniform2f(uniforms.u_range, look.range[0], look.range[1]);
      this.attribute(0, `line_xy_${from}`, 2, gl.FLOAT, false);
      this.attribute(1, `line_xy_${to}`, 2, gl.FLOAT, false);
      this.attribute(2, `line_colour_${mix < 0.5 ? from : to}`, 4, gl.UNSIGNED_BYTE, true);
      this.attribute(3, `line_cosine_${mix < 0.5 ? from : to}`, 1, gl.FLOAT, false);
      gl.drawArrays(gl.LINES, 0, this.lineCount * 2);
    }
    const uniforms = set(this.point);
    gl.uniform1f(uniforms.u_size, look.size * look.ratio);
    this.attribute(0, `xy_${from}`, 2, gl.FLOAT, false);
    this.attribute(1, `xy_${to}`, 2, gl.FLOAT, false);
    this.attribute(2, "colour", 4, gl.UNSIGNED_BYTE, true);
    this.attribute(3, "shape", 1, gl.UNSIGNED_BYTE, false);
    this.attribute(4, "state", 1, gl.UNSIGNED_BYTE, false);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.list);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, look.points, gl.STREAM_DRAW);
    gl.drawElements(gl.POINTS, look.points.length, gl.UNSIGNED_INT, 0);
  }

  static shuffle(n) { // draw in a fixed random order, or the last modality would hide the others
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    let seed = 12345;
    for (let i = n - 1; i > 0; i--) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const j = seed % (i + 1), kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    return order;
  }

  clear() {
    const { gl } = this;
    gl.scissor(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
  }

  dispose() {
    for (const buffer of this.buffers.values()) this.gl.deleteBuffer(buffer);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
