# SPDX-License-Identifier: Apache-2.0
"""What scripts that measure print, and where they write it into the documents."""
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent


def table_text(header, rows, markdown):
    if markdown:
        lines = [header, ['---'] * len(header), *rows]
        return '\n'.join('| ' + ' | '.join(row) + ' |' for row in lines) + '\n'
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return ''.join('  ' + '  '.join(text.ljust(width) for text, width in zip(row, widths)).rstrip() + '\n'
                   for row in [header, *rows])


def update(document, name, text):
    """Put it into a document of ours, between its marks with that name."""
    path = TOP / document
    begin, end = f'<!-- begin: tests/bench/{name} -->\n', f'<!-- end: tests/bench/{name} -->'
    before, found, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        sys.exit(f'{name}: {document} has no place for it: {begin}{end}')
    path.write_text(f'{before}{begin}\n{text}\n{end}{after}')
