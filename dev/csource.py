# SPDX-License-Identifier: Apache-2.0
"""What dev/layers and dev/tidy need to know about C: which characters are code, which functions
there are. A scanner, not a parser: it relies on the layout that .clang-format gives."""

import re
from collections import namedtuple

LITERALS_AND_COMMENTS = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

Function = namedtuple('Function', 'name first last parameters')


def code_only(text, keep_strings=False):
    """The text with comments and the insides of literals turned to blanks: same lines, same columns."""
    def blank(match):
        token = match.group(0)
        if token[0] in '"\'':
            return token if keep_strings else token[0] + ' ' * (len(token) - 2) + token[0]
        return re.sub(r'[^\n]', ' ', token)
    return LITERALS_AND_COMMENTS.sub(blank, text)


def without_directives(code):
    """The code without preprocessor lines and their continuations. Of #if ... #else ... #endif the
    first branch is kept, so that braces still match."""
    result = []
    branches = []       # for each open #if: are we past its first branch?
    continued = False
    for line in code.split('\n'):
        directive = re.match(r'\s*#\s*(\w+)', line)
        if continued or directive:
            if not continued:
                word = directive.group(1)
                if word in ('if', 'ifdef', 'ifndef'):
                    branches.append(False)
                elif word in ('else', 'elif') and branches:
                    branches[-1] = True
                elif word == 'endif' and branches:
                    branches.pop()
            continued = line.rstrip().endswith('\\')
            result.append('')
        else:
            result.append('' if any(branches) else line)
    return '\n'.join(result)


def paren_groups(declaration):
    """The (word before, inside) of every outermost pair of parentheses."""
    groups = []
    depth = 0
    start = 0
    for at, char in enumerate(declaration):
        if char == '(':
            if depth == 0:
                start = at
            depth += 1
        elif char == ')':
            depth -= 1
            if depth == 0:
                word = re.search(r'(\w+)\s*$', declaration[:start])
                groups.append((word.group(1) if word else '', declaration[start + 1:at]))
    return groups


def count_parameters(inside):
    """How many parameters a list has; "..." is none."""
    depth = 0
    parts = ['']
    for char in inside:
        if char == ',' and depth == 0:
            parts.append('')
            continue
        depth += {'(': 1, ')': -1}.get(char, 0)
        parts[-1] += char
    return len([part for part in parts if part.strip() not in ('', 'void', '...')])


def function_of(declaration):
    """(name, parameters) when the text before a brace is the head of a function, or None."""
    head = re.sub(r'__attribute__\s*\(\(.*?\)\)', ' ', declaration, flags=re.DOTALL)
    if '=' in head:
        return None
    groups = paren_groups(head)
    # Words in capitals are annotations such as LOCKED(lock), unless there is nothing else, as in
    # Check's START_TEST(name).
    named = [group for group in groups if group[0] and not group[0].isupper()] or groups[:1]
    if not named or not named[0][0]:
        return None
    name, inside = named[0]
    if name.isupper():
        return inside.split(',')[0].strip(), 0
    return name, count_parameters(inside)


def functions(code):
    """Every function defined in the code, which is what code_only() gave. ValueError when the braces
    do not match."""
    text = without_directives(code)
    found = []
    depth = 0
    line = 1
    head_start = 0              # offset and line of the declaration that is being read
    head_line = 0
    current = None
    for at, char in enumerate(text):
        if char == '\n':
            line += 1
        elif depth == 0 and head_line == 0 and not char.isspace() and char not in '};':
            head_start, head_line = at, line
        if char == '{':
            head = text[head_start:at]
            if depth == 0 and re.match(r'extern\s*" *"\s*$', head):
                head_line = 0
                continue        # extern "C" { ... }: its closing brace is let off below
            if depth == 0:
                signature = function_of(head)
                current = (signature, head_line) if signature else None
            depth += 1
        elif char == '}' and depth > 0:
            depth -= 1
            if depth == 0:
                if current:
                    (name, parameters), first = current
                    found.append(Function(name, first, line, parameters))
                    head_line = 0
                current = None
        elif char == ';' and depth == 0:
            head_line = 0
    if depth != 0:
        raise ValueError('braces do not match')
    return found
