// What people leave Flask for: Node's express.
import express from "express";

const app = express();
app.get("/", (request, response) => response.json({ hello: "world" }));
app.get("/file", (request, response) => response.sendFile(process.env.FILE));
app.listen(Number(process.env.PORT), "127.0.0.1");
