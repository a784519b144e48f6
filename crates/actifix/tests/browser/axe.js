// Body of a function that runs in a page where axe-core is: its findings, in words.
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const options = { runOnly: { type: "tag", values: rules }, resultTypes: ["violations"] };
return axe.run(document, options).then((result) => ({
  rules: result.passes.length + result.violations.length + result.incomplete.length,
  findings: result.violations.map((finding) => {
    const nodes = finding.nodes.slice(0, 4).map((node) => node.target.join(" ") + ": " + node.failureSummary.replace(/\s+/g, " "));
    return finding.impact + " " + finding.id + ", " + finding.nodes.length + " times: " + nodes.join(" | ");
  }),
}));
