// Layout names as requests and UpdateLayout carry them, with the options that are pyegress's own.

export type Arranging = 'grid' | 'speaker' | 'single-speaker';

export interface Options {
  names: boolean;
  gap: number;
  radius: number;
  speaking: boolean;
  placeholders: boolean;
}

export interface Layout {
  name: string;
  options: Options;
}

const SWITCHES: Record<string, boolean> = { 1: true, 0: false, true: true, false: false };

/** `grid`, `speaker-light?names=1&gap=8`, ... The service has checked the options; what is wrong here is left out. */
export function parseLayout(text: string): Layout {
  const [name = '', query = ''] = text.split('?', 2);
  const values = new Map(query.split('&').map((part) => part.split('=', 2) as [string, string]));
  const flag = (option: string) => SWITCHES[(values.get(option) ?? '').toLowerCase()] ?? false;
  const pixels = (option: string) => Math.min(200, Math.max(0, Number.parseInt(values.get(option) ?? '', 10) || 0));
  return {
    name,
    options: {
      names: flag('names'),
      gap: pixels('gap'),
      radius: pixels('radius'),
      speaking: flag('speaking'),
      placeholders: flag('placeholders'),
    },
  };
}

/** Decided by how the name begins; a grid by name becomes speaker while somebody shares a screen. */
export function arrangingOf({ name }: Layout, screenShare: boolean): Arranging {
  if (name.startsWith('speaker') || (screenShare && name.startsWith('grid'))) return 'speaker';
  return name.startsWith('single-speaker') ? 'single-speaker' : 'grid';
}

/** White behind the pictures instead of black. */
export const isLight = ({ name }: Layout) => name.endsWith('-light');
