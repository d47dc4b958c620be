/** What the process that starts Jest gives: options of a relay, and a token of each caller by name. */

exports.options = JSON.parse(process.env.RELAY_OPTIONS)
exports.tokens = JSON.parse(process.env.TOKENS)
