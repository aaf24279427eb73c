"""motor as its users use it, unmasked as directly at the database, and masked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import ObjectId, decode
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorGridFSBucket
from pymongo import ASCENDING, DeleteOne, InsertOne, ReturnDocument, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, DuplicateKeyError, InvalidOperation
from pymongo.read_concern import ReadConcern

from gateway.testing.shop_documents import DocumentShop
from tests.fixtures.mongodb import ADMIN, ANALYST, MongoGateway, StartMongoGateway

Database = Any
Story = Callable[[Any, Database], Awaitable[list[Any]]]
PATHS = {
    "pii.email": ["people.contact.email", "people.former.email"],
    "pci.card_number": ["people.cards.number"],
    "finance.salary": ["people.salary"],
}
SECRETS = ("@example.net", "4111")


def people() -> list[dict[str, Any]]:
    """Documents with every secret in a place of its own."""
    return [
        {
            "_id": number,
            "name": f"Person {number}",
            "team": "red" if number % 3 else "blue",
            "contact": {"email": f"p{number}@example.net", "city": "Bern"},
            "former": [{"email": f"old{number}@example.net", "year": 2000 + number}],
            "cards": [{"brand": "test", "number": f"4111-{number:04}"}],
            "salary": 1000.5 + number,
        }
        for number in range(60)
    ]


# --- what users do; each story tells what they got to see -------------------------------------------------------------


async def crud(client: Any, database: Database) -> list[Any]:
    things = database.things
    told: list[Any] = [(await things.insert_one({"_id": 1, "n": 0})).inserted_id]
    told.append((await things.insert_many([{"_id": n, "n": n % 5} for n in range(2, 400)])).inserted_ids)
    updated = await things.update_many({"n": 1}, {"$inc": {"n": 10}})
    told += [updated.matched_count, updated.modified_count]
    replaced = await things.replace_one({"_id": 900}, {"n": 7}, upsert=True)
    told += [replaced.upserted_id, (await things.delete_many({"n": 2})).deleted_count]
    told.append(await things.find_one({"_id": 900}))
    told.append(await things.count_documents({"n": {"$gte": 3}}))
    told.append(await things.estimated_document_count())
    told.append(sorted(await things.distinct("n")))
    told.append(await things.find_one_and_update({"_id": 5}, {"$set": {"m": 1}}, return_document=ReturnDocument.AFTER))
    told.append(await things.find_one_and_delete({"_id": 5}))
    told.append(await things.find_one({"_id": 5}))
    operations = [InsertOne({"_id": -1}), UpdateOne({"_id": -1}, {"$set": {"n": 9}}), DeleteOne({"_id": 900})]
    told.append((await things.bulk_write(operations)).bulk_api_result)
    try:
        await things.insert_many([{"_id": 1}, {"_id": -2}, {"_id": -1}], ordered=False)
    except BulkWriteError as error:
        told.append([(item["index"], item["code"]) for item in error.details["writeErrors"]])
    try:
        await things.insert_one({"_id": 1})
    except DuplicateKeyError as error:
        told.append(error.code)
    await database.get_collection("things", write_concern=WriteConcern(0)).insert_one({"_id": -3})
    told.append((await database.command("count", "things"))["n"] > 0)
    return told


async def indexes(client: Any, database: Database) -> list[Any]:
    told: list[Any] = [await database.people.create_index([("team", ASCENDING)], unique=False)]
    told.append(await database.people.index_information())
    told.append([index["name"] async for index in database.people.list_indexes()])
    await database.people.drop_index("team_1")
    told.append(await database.people.index_information())
    await database.create_collection("fixed", capped=True, size=4096)
    told.append((await database.fixed.options())["capped"])
    told.append(sorted(await database.list_collection_names()))
    return told


async def cursors(client: Any, database: Database) -> list[Any]:
    collection = database.people
    told: list[Any] = [[document async for document in collection.find({}, batch_size=7).sort("_id")]]
    told.append(await collection.find({"team": "red"}, {"name": 1}).sort("_id", -1).skip(2).limit(11).to_list(None))
    cursor = collection.find().sort("_id").batch_size(5)
    told.append([await cursor.to_list(12), await cursor.to_list(3), cursor.alive])
    told.append(await cursor.next())
    await cursor.close()
    cursor.rewind()
    told.append(await cursor.to_list(2))
    await cursor.close()
    pipeline: list[dict[str, Any]] = [
        {"$match": {"team": "blue"}},
        {"$set": {"mail": "$contact.email"}},
        {"$unwind": "$former"},
        {"$sort": {"_id": 1}},
    ]
    told.append([document async for document in collection.aggregate(pipeline, batchSize=4)])
    told.append(
        await collection.aggregate([{"$group": {"_id": "$team", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]).to_list(
            None
        )
    )
    # Many readers at once over one pool: each with batches of its own.
    counts = await asyncio.gather(*(collection.find({}, batch_size=3).to_list(None) for _ in range(8)))
    told.append([len(documents) for documents in counts])
    raw = database.get_collection(
        "people", codec_options=client.codec_options.with_options(document_class=RawBSONDocument)
    )
    told.append(dict(decode((await raw.find_one({"_id": 3})).raw)))
    return told


async def transactions(client: Any, database: Database) -> list[Any]:
    await database.create_collection("t")
    told: list[Any] = []
    async with await client.start_session() as session:
        async with session.start_transaction(read_concern=ReadConcern("snapshot")):
            await database.t.insert_one({"_id": 1}, session=session)
            told.append(await database.t.find_one({"_id": 1}))
            told.append(await database.t.find_one({"_id": 1}, session=session))
        session.start_transaction()
        await database.t.insert_one({"_id": 2}, session=session)
        await session.abort_transaction()
        try:
            async with session.start_transaction():
                await database.t.insert_one({"_id": 3}, session=session)
                await database.t.insert_one({"_id": 1}, session=session)
        except DuplicateKeyError as error:
            told.append(error.code)

        async def work(session: AsyncIOMotorClientSession) -> int:
            await database.t.update_one({"_id": 1}, {"$set": {"by": "work"}}, session=session)
            cursor = database.people.find({}, session=session, batch_size=10).sort("_id")
            return len([document async for document in cursor])

        told.append(await session.with_transaction(work))
    told.append(await database.t.find().to_list(None))
    async with await client.start_session(causal_consistency=True) as session:
        await database.t.insert_one({"_id": 4}, session=session)
        told.append(await database.t.count_documents({}, session=session))
    try:
        await database.t.find_one(session=session)
    except InvalidOperation as error:
        told.append(str(error))
    return told


async def changes(client: Any, database: Database) -> list[Any]:
    told: list[Any] = []
    async with database.people.watch(full_document="updateLookup", max_await_time_ms=500) as stream:
        await database.people.insert_one({**people()[0], "_id": 1000})
        await database.people.update_one({"_id": 1000}, {"$set": {"contact.email": "new@example.net", "team": "green"}})
        await database.people.delete_one({"_id": 1000})
        async for change in stream:
            described = change.get("updateDescription", {}).get("updatedFields")
            told.append((change["operationType"], change.get("fullDocument"), described))
            if change["operationType"] == "delete":
                break
        token = stream.resume_token
    async with database.people.watch(resume_after=token) as stream:
        await database.people.insert_one({"_id": 1001, "name": "late"})
        told.append((await stream.next())["fullDocument"])
        told.append(await stream.try_next())
    return told


async def files(client: Any, database: Database) -> list[Any]:
    bucket: Any = AsyncIOMotorGridFSBucket(database, chunk_size_bytes=100_000)
    number = ObjectId("64b7f0a1c2d3e4f5a6b7c8d9")
    await bucket.upload_from_stream_with_id(number, "a.bin", b"a" * 350_000, metadata={"of": "motor"})
    async with bucket.open_upload_stream("b.txt") as upload:
        await upload.write(b"first ")
        await upload.write(b"second")
    opened = await bucket.open_download_stream(number)
    told: list[Any] = [opened.length, opened.metadata, (await opened.read()) == b"a" * 350_000]
    told.append(await (await bucket.open_download_stream_by_name("b.txt")).read())
    opened.seek(349_990)
    told.append(await opened.read(100))
    told.append([file.filename async for file in bucket.find().sort("filename")])
    await bucket.rename(number, "c.bin")
    await bucket.delete(number)
    told.append([file.filename async for file in bucket.find()])
    told.append(await database.fs.chunks.count_documents({}))
    return told


STORIES: list[Story] = [crud, indexes, cursors, transactions, changes, files]


# --- how they are told ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(start_mongo_gateway: StartMongoGateway, mongo_shop: DocumentShop) -> MongoGateway:
    def change(config: dict[str, Any]) -> None:
        resource = config["resources"][0]["name"]
        config["classifications"] = [
            {"resource": resource, "label": label, "paths": [f"motor_*.{path}" for path in paths]}
            for label, paths in PATHS.items()
        ]
        config["policies"].append(
            {"name": "all", "effect": "allow", "match": {"groups": ["analysts"], "actions": ["*"]}}
        )

    return start_mongo_gateway(mongo_shop, change=change)


@pytest.fixture
def name(mongo_shop: DocumentShop) -> Iterator[str]:
    """A database with people in it, of the test's own."""
    name = f"motor_{ObjectId()}"
    with mongo_shop.server.client() as direct:
        direct[name].people.insert_many(people())
        yield name
        direct.drop_database(name)


@asynccontextmanager
async def motor(uri: str):
    client: Any = AsyncIOMotorClient(uri, serverSelectionTimeoutMS=10_000, directConnection=True)
    try:
        yield client
    finally:
        client.close()


def tell(story: Story, uri: str, name: str) -> list[Any]:
    async def whole() -> list[Any]:
        async with motor(uri) as client:
            return await story(client, client[name])

    return asyncio.run(whole())


def as_masked(told: Any) -> Any:
    """What is told, as somebody under the masks should hear it."""
    match told:
        case dict():
            return {key: None if key == "salary" else as_masked(value) for key, value in told.items()}
        case list():
            return [as_masked(item) for item in told]
        case tuple():
            return tuple(as_masked(item) for item in told)
        case str() if any(secret in told for secret in SECRETS):
            return "****"
        case _:
            return told


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_everybody_is_told_what_the_database_tells_but_for_what_is_masked(
    gateway: MongoGateway, mongo_shop: DocumentShop, name: str, story: Story
) -> None:
    server = mongo_shop.server
    directly = tell(story, server.uri(server.superuser, server.password), name)
    with gateway.client() as client:  # what changes behind the gateway's back is masked whole until that is seen
        for who in (ADMIN, ANALYST):
            client.drop_database(name)
            client[name].people.insert_many(people())
            told = tell(story, gateway.uri(who), name)
            assert told == (directly if who == ADMIN else as_masked(directly)), who
