/**
 * What can go wrong with a microphone, named so that the page can say it in words; and the list of
 * audio devices. Knows nothing about the audio graph.
 */

export type MicrophoneFault = "insecure" | "refused" | "absent" | "busy" | "failed";

export class MicrophoneProblem extends Error {
  constructor(readonly fault: MicrophoneFault) {
    super(`microphone: ${fault}`);
  }
}

/** The fault behind a rejected getUserMedia (names: Media Capture and Streams, section 10.2). */
export function problemOf(error: unknown): MicrophoneFault {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return "refused";
    case "SecurityError":
      return "insecure";
    case "NotFoundError":
    case "OverconstrainedError": // the chosen device is gone
      return "absent";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    default:
      return "failed";
  }
}

export interface AudioDevices {
  inputs: MediaDeviceInfo[];
  outputs: MediaDeviceInfo[];
}

/** Microphones and speakers; without permission the browser hides their names (or all of them). */
export async function listDevices(): Promise<AudioDevices> {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const named = devices.filter((device) => device.deviceId !== "" && device.label !== "");
  return {
    inputs: named.filter((device) => device.kind === "audioinput"),
    outputs: named.filter((device) => device.kind === "audiooutput"),
  };
}

/** Call back whenever a device is plugged in or out. */
export function watchDevices(changed: () => void): void {
  navigator.mediaDevices?.addEventListener?.("devicechange", changed);
}
