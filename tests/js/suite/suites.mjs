// The files with the checks of each kind of server: "plain", "recovery" where it restores connections, or "engine".
const SOCKET = ["connection", "socket", "retry"];
export const SUITES = { plain: SOCKET, recovery: [...SOCKET, "recovery"], engine: ["engine"] };
