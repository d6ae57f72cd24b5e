import { expect, test } from "vitest";

import { english, type Word } from "./english";
import { telugu } from "./telugu";

const keys = Object.keys(english) as Word[];

test("every word is in both languages", () => {
  expect(Object.keys(telugu).sort()).toEqual([...keys].sort());
});

test("Telugu words are in Telugu script", () => {
  const exempt: Word[] = ["switchLanguage"]; // names the other language in its own script
  const latin = keys.filter((key) => !exempt.includes(key) && !/[\u0c00-\u0c7f]/.test(telugu[key]));
  expect(latin).toEqual([]);
});

test("a word has the same places to fill in both languages", () => {
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  const uneven = keys.filter((key) => `${places(telugu[key])}` !== `${places(english[key])}`);
  expect(uneven).toEqual([]);
});
