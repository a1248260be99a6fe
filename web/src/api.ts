// The analytics API of the server that this page comes from: docs/api.yaml.

export type Cell = string | number | null;
export type Row = Record<string, Cell>;

export interface Source {
  table: string;
  version: number | null;
  versions_behind?: number;
}

export interface Answer {
  sources: Source[];
  rows: Row[];
}

export interface TableState {
  name: string;
  version: number | null; // null: it is not there yet.
  files: number | null; // null: the key is not for all sites; so for what follows.
  bytes: number | null;
  records: number | null;
  newest_record: string | null;
  newest_file: string | null;
  versions_behind?: number;
  seconds_behind?: number;
}

export interface Freshness {
  now: string;
  tables: TableState[];
}

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: there was no answer.
    message: string,
  ) {
    super(message);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const keyName = "millrace-key";

export const key = {
  get: () => sessionStorage.getItem(keyName),
  set: (value: string) => sessionStorage.setItem(keyName, value),
  forget: () => sessionStorage.removeItem(keyName),
};

export type Parameters = [name: string, value: string][];

export function urlOf(topic: string, parameters: Parameters): string {
  const text = new URLSearchParams(parameters).toString();
  return `/api/v1/${topic}${text === "" ? "" : `?${text}`}`;
}

async function get(url: string, signal: AbortSignal | null): Promise<Response> {
  const known = key.get();
  let response: Response;
  try {
    response = await fetch(url, { signal, headers: known === null ? {} : { Authorization: `Bearer ${known}` } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "the server does not answer");
  }
  if (response.ok) return response;
  const text = await response.text();
  let message = text.trim() || `the server answers ${response.status}`;
  try {
    message = (JSON.parse(text) as { error: { message: string } }).error.message;
  } catch {
    // Something between the server and us has answered.
  }
  throw new ApiError(response.status, message);
}

export async function ask(topic: string, parameters: Parameters, signal: AbortSignal | null = null): Promise<Answer> {
  return (await (await get(urlOf(topic, parameters), signal)).json()) as Answer;
}

export async function askFreshness(): Promise<Freshness> {
  return (await (await get(urlOf("freshness", []), null)).json()) as Freshness;
}

const topicsWithLimit = ["top", "crawlers", "errors", "recent"];

// As many rows as there may be. With the key in a header, which a link could not have.
export async function download(name: string, topic: string, parameters: Parameters): Promise<void> {
  const asked = parameters.filter(([parameter]) => parameter !== "limit");
  if (topicsWithLimit.includes(topic)) asked.push(["limit", "1000"]);
  const response = await get(urlOf(topic, [...asked, ["format", "csv"]]), null);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `millrace-${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
