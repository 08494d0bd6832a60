#!/usr/bin/env bash
# What the action does once cnncost is installed: check, compare with the base branch, comment. All input comes in
# environment variables, so that nothing a pull request names is ever read as shell.
#   INPUT_FILES (words), INPUT_BUDGET, INPUT_BASELINE, INPUT_STRICT, INPUT_REPORT_ONLY, INPUT_OUTPUTS (FORMAT=FILE words)
#   INPUT_BASE (branch; empty: no comparison), INPUT_COMMENT (true: one comment), PULL_REQUEST (its number), GH_TOKEN
# The exit code is that of `cnncost check`: neither comparison nor comment can fail a build, or pass one.
set -uo pipefail

MARKER='<!-- cnncost: budgets -->'
MOST=65000 # bytes: a comment holds 65,536 characters
work=$(mktemp -d) || exit 3
trap 'rm -rf "$work"' EXIT

read -r -a files <<<"${INPUT_FILES:-}"
read -r -a outputs <<<"${INPUT_OUTPUTS:-}"
options=(--format github --output "markdown=$work/check.md")
[[ -n ${INPUT_BUDGET:-} ]] && options+=(--budget "$INPUT_BUDGET")
[[ -n ${INPUT_BASELINE:-} ]] && options+=(--baseline "$INPUT_BASELINE")
[[ ${INPUT_STRICT:-false} == true ]] && options+=(--strict)
[[ ${INPUT_REPORT_ONLY:-false} == true ]] && options+=(--report-only)
for output in "${outputs[@]}"; do options+=(--output "$output"); done

cnncost check "${options[@]}" -- "${files[@]}"
code=$?

body="$work/body.md"
{ printf '%s\n\n' "$MARKER"; cat "$work/check.md" 2>/dev/null || echo "The budgets could not be checked; see the log."; } >"$body"

if [[ -n ${INPUT_BASE:-} ]]; then
  base="refs/cnncost/base"
  if git fetch --quiet --depth=1 origin "+refs/heads/$INPUT_BASE:$base" &&
    cnncost diff --against "$base" --format markdown -o "$work/diff.md" -- "${files[@]}"; then
    sed -i "s|refs/cnncost/base|the base branch|g" "$work/diff.md"
    [[ -n ${GITHUB_STEP_SUMMARY:-} ]] && cat "$work/diff.md" >>"$GITHUB_STEP_SUMMARY"
    if (($(wc -c <"$body") + $(wc -c <"$work/diff.md") < MOST)); then
      { echo; cat "$work/diff.md"; } >>"$body"
    else
      printf '\nThe comparison with the base branch is in the job summary.\n' >>"$body"
    fi
  else
    echo "::warning title=cnncost::no comparison with the base branch; see the log"
  fi
fi

comment() {
  local pages="repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments" own
  own=$(gh api --paginate "$pages" --jq ".[] | select(.body | startswith(\"$MARKER\")) | .id" | head -n 1) || return 1
  if [[ -n $own ]]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$own" -F "body=@$body"
  else
    gh api --silent --method POST "$pages" -F "body=@$body"
  fi
}

if [[ ${INPUT_COMMENT:-false} == true && -n ${PULL_REQUEST:-} && -n ${GH_TOKEN:-} ]]; then
  comment || echo "::warning title=cnncost::cannot comment (the token needs pull-requests: write); the summary has it all"
fi
exit "$code"
