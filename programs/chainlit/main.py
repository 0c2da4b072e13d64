"""A chat of Chainlit's with a login, that answers, asks, and counts in the session of its user."""

import chainlit as cl


@cl.password_auth_callback
def log_in(name: str, password: str) -> cl.User | None:
    return cl.User(identifier=name) if password == "secret" else None


@cl.on_chat_start
async def start() -> None:
    cl.user_session.set("count", 0)
    await cl.Message(content=f"Hello {cl.user_session.get('user').identifier}").send()


@cl.on_message
async def answer(message: cl.Message) -> None:
    cl.user_session.set("count", cl.user_session.get("count") + 1)
    if message.content == "ask":
        reply = await cl.AskUserMessage(content="What is your name?", timeout=60).send()
        await cl.Message(content=f"Your name is {reply['output']}").send()
    elif message.content == "count":
        await cl.Message(content=f"{cl.user_session.get('count')} messages").send()
    else:
        await cl.Message(content=f"You said: {message.content}").send()
