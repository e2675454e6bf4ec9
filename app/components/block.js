// A block of bytes from `block.py`: one header in JSON, then typed arrays.

const ARRAYS = { f4: Float32Array, f8: Float64Array, u1: Uint8Array, i4: Int32Array };

function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const body = 4 + view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, body)));
  const arrays = {};
  for (const { name, dtype, start, length } of head.buffers) {
    const kind = ARRAYS[dtype];
    arrays[name] = new kind(bytes.slice(body + start, body + start + length * kind.BYTES_PER_ELEMENT).buffer);
  }
  return { head, arrays };
}
