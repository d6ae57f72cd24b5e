/**
 * What the server says about itself (`/api/info`, `/ready`), parsed once. Addresses are relative to
 * the page, so it works behind a proxy's path too.
 */
import { isRecord } from "./messages";

export interface EngineInfo {
  id: string;
  available: boolean;
  reason: string;
  starter: boolean;
  models: Record<string, string>;
}

export interface VoiceInfo {
  id: string;
  name: string;
  nameTe: string;
  description: string;
}

export interface SampleInfo {
  id: string;
  text: string;
  /** What it means, for whoever listens without Telugu; may be empty. */
  english: string;
  url: string;
}

export interface ServerInfo {
  version: string;
  profile: string;
  starter: boolean;
  defaultEngine: string;
  engines: EngineInfo[];
  voices: VoiceInfo[];
  defaultVoice: string;
  emotions: string[];
  defaultEmotion: string;
  samples: SampleInfo[];
  tokenRequired: boolean;
}

export type Readiness = { ready: true } | { ready: false; loading: Record<string, number> };

/** Throws when the server cannot be reached or answers something else. */
export async function fetchInfo(): Promise<ServerInfo> {
  const info = parseInfo(await fetchJson("api/info"));
  if (info.samples.length === 0) info.samples = await fetchSamples();
  return info;
}

/** Are the models loaded? A server that cannot be reached is an error. */
export async function fetchReadiness(): Promise<Readiness> {
  const answer = await fetch(address("ready"), { cache: "no-store" });
  if (answer.ok) return { ready: true };
  const body: unknown = await answer.json().catch(() => ({}));
  const loading = isRecord(body) && isRecord(body["loading"]) ? body["loading"] : {};
  return { ready: false, loading: onlyNumbers(loading) };
}

/** The WebSocket address of a call with these choices. */
export function callUrl(choices: Record<string, string>): string {
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  for (const [key, value] of Object.entries(choices)) if (value) url.searchParams.set(key, value);
  return url.href;
}

export function parseInfo(body: unknown): ServerInfo {
  if (!isRecord(body)) throw new Error("api/info: not an object");
  const engines = list(body["engines"]).map((engine) => ({
    id: str(engine["id"]),
    available: engine["available"] === true,
    reason: str(engine["reason"]),
    starter: engine["starter"] === true,
    models: onlyStrings(engine["models"]),
  }));
  return {
    version: str(body["version"]),
    profile: str(body["profile"]),
    starter: body["starter"] === true,
    engines,
    defaultEngine: str(body["default_engine"]) || (engines[0]?.id ?? ""),
    voices: list(body["voices"]).map((voice) => ({
      id: str(voice["id"]),
      name: str(voice["name"]) || str(voice["id"]),
      nameTe: str(voice["name_te"]),
      description: str(voice["description"]),
    })),
    defaultVoice: str(body["default_voice"]),
    emotions: Array.isArray(body["emotions"])
      ? body["emotions"].filter((emotion) => typeof emotion === "string")
      : [],
    defaultEmotion: str(body["default_emotion"]),
    samples: parseSamples(body["samples"]),
    tokenRequired: body["token_required"] === true,
  };
}

/** The recordings shipped with the page, for a server that does not list them; none is no error. */
async function fetchSamples(): Promise<SampleInfo[]> {
  try {
    return parseSamples(await fetchJson("samples/samples.json"));
  } catch {
    return [];
  }
}

/** Addresses lose their leading slash: relative to the page they survive a proxy's path. */
function parseSamples(value: unknown): SampleInfo[] {
  return list(value)
    .map((sample) => ({
      id: str(sample["id"]),
      text: str(sample["text"]),
      english: str(sample["english"]),
      url: str(sample["url"]).replace(/^\//, ""),
    }))
    .filter((sample) => sample.url !== "");
}

async function fetchJson(path: string): Promise<unknown> {
  const answer = await fetch(address(path), { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function address(path: string): string {
  return new URL(path, document.baseURI).href;
}

function list(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function str(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function onlyStrings(value: unknown): Record<string, string> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

function onlyNumbers(value: Record<string, unknown>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === "number"),
  );
}
