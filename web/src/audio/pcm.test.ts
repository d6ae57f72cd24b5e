import { expect, test } from "vitest";

import { meterLevel, Packetiser, rms, toFloat } from "./pcm";

test("packets are full, in order and lose nothing between pushes", () => {
  const packets: Int16Array[] = [];
  const packetiser = new Packetiser(4);
  const ramp = Float32Array.from({ length: 10 }, (_, i) => i / 32767);
  packetiser.push(ramp.subarray(0, 3), (packet) => packets.push(packet));
  packetiser.push(ramp.subarray(3), (packet) => packets.push(packet));
  expect(packets.map((packet) => [...packet])).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ]);
});

test("too loud samples clip instead of wrapping", () => {
  const packets: Int16Array[] = [];
  new Packetiser(2).push(Float32Array.of(1.5, -7), (packet) => packets.push(packet));
  expect([...packets[0]!]).toEqual([32767, -32767]);
});

test("16-bit samples become floats in -1..1", () => {
  expect([...toFloat(Int16Array.of(-32768, 0, 16384))]).toEqual([-1, 0, 0.5]);
});

test("root mean square", () => {
  expect(rms(Float32Array.of(0.5, -0.5, 0.5, -0.5))).toBe(0.5);
  expect(rms(new Float32Array(0))).toBe(0);
});

test("the meter is empty at -60 dBFS and full at -6", () => {
  expect(meterLevel(0)).toBe(0);
  expect(meterLevel(0.001)).toBeCloseTo(0, 5);
  expect(meterLevel(0.5012)).toBeCloseTo(1, 2);
  expect(meterLevel(1)).toBe(1);
});
