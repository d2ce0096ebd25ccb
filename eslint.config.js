// Rules for the page's scripts: what is surely wrong, and small functions that do one thing at a time.

import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["assets/web/**/*.js", "tests/web/**/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    rules: {
      "no-sequences": ["error", { allowInParentheses: false }],
      "no-nested-ternary": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "no-unused-expressions": "error",
      "no-restricted-globals": ["error", "event", "name", "length", "status"],
      "no-var": "error",
      "prefer-const": ["error", { destructuring: "all" }],
      eqeqeq: "error",
      complexity: ["error", 12],
      "max-len": ["error", { code: 140 }],
      "max-lines": ["error", 300],
    },
  },
];
