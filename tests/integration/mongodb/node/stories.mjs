// What a user of Node's driver does; prints what it got to see as one line of Extended JSON per story.
import { GridFSBucket, MongoClient, ObjectId } from 'mongodb';
import { EJSON } from 'bson';
import { Readable } from 'node:stream';

const [uri, name] = process.argv.slice(2);

const stories = {
  async crud(database) {
    const things = database.collection('things');
    const told = [await things.insertOne({ _id: 1, n: 0 })];
    const many = Array.from({ length: 400 }, (_, number) => ({ _id: number + 2, n: number % 5 }));
    told.push((await things.insertMany(many)).insertedCount);
    told.push(await things.updateMany({ n: 1 }, { $inc: { n: 10 } }));
    told.push(await things.replaceOne({ _id: 900 }, { n: 7 }, { upsert: true }));
    told.push(await things.deleteMany({ n: 2 }));
    told.push(await things.findOne({ _id: 900 }), await things.findOne({ _id: 901 }));
    told.push(await things.countDocuments({ n: { $gte: 3 } }), (await things.distinct('n')).sort());
    told.push(await things.findOneAndUpdate({ _id: 5 }, { $set: { m: 1 } }, { returnDocument: 'after' }));
    told.push(await things.findOneAndDelete({ _id: 5 }));
    const bulk = await things.bulkWrite([
      { insertOne: { document: { _id: -1 } } },
      { updateOne: { filter: { _id: -1 }, update: { $set: { n: 9 } } } },
      { deleteOne: { filter: { _id: 900 } } },
    ]);
    told.push([bulk.insertedCount, bulk.modifiedCount, bulk.deletedCount]);
    told.push(await failure(things.insertMany([{ _id: 1 }, { _id: -2 }, { _id: -1 }], { ordered: false })));
    told.push(await failure(things.insertOne({ _id: 1 })));
    told.push(await failure(things.find({ $nonsense: 1 }).toArray()));
    await things.insertOne({ _id: -3 }, { writeConcern: { w: 0 } });
    return told;
  },

  async indexes(database) {
    const people = database.collection('people');
    const told = [await people.createIndex({ team: 1 }), await people.indexes()];
    await people.dropIndex('team_1');
    await database.createCollection('fixed', { capped: true, size: 4096 });
    told.push(await database.collection('fixed').isCapped());
    told.push((await database.listCollections({}, { nameOnly: true }).toArray()).map((found) => found.name).sort());
    return told;
  },

  async cursors(database) {
    const people = database.collection('people');
    const told = [[]];
    for await (const person of people.find({}, { batchSize: 7 }).sort({ _id: 1 })) told[0].push(person);
    told.push(await people.find({ team: 'red' }).project({ name: 1 }).sort({ _id: -1 }).skip(2).limit(11).toArray());
    const cursor = people.find({}).sort({ _id: 1 }).batchSize(5);
    told.push(await cursor.next(), await cursor.next(), await cursor.hasNext());
    await cursor.close();
    told.push(await people.aggregate([{ $match: { team: 'blue' } }, { $sort: { _id: 1 } }], { batchSize: 4 }).toArray());
    const readers = Array.from({ length: 8 }, () => people.find({}, { batchSize: 3 }).toArray());
    told.push((await Promise.all(readers)).map((documents) => documents.length));
    return told;
  },

  async transactions(database, client) {
    const collection = await database.createCollection('t');
    const told = [];
    await client.withSession(async (session) => {
      told.push(await session.withTransaction(async () => {
        await collection.insertOne({ _id: 1 }, { session });
        told.push(await collection.findOne({ _id: 1 }), await collection.findOne({ _id: 1 }, { session }));
        return 'done';
      }));
      session.startTransaction();
      await collection.insertOne({ _id: 2 }, { session });
      await session.abortTransaction();
      session.startTransaction();
      told.push(await failure(collection.insertOne({ _id: 1 }, { session })));
      await session.abortTransaction();
    });
    await client.withSession({ causalConsistency: true }, async (session) => {
      await collection.insertOne({ _id: 4 }, { session });
      told.push(await collection.countDocuments({}, { session }));
    });
    await client.withSession({ snapshot: true }, async (session) => {
      told.push(await collection.find({}, { session }).sort({ _id: 1 }).toArray());
    });
    return told;
  },

  async changes(database) {
    const people = database.collection('people');
    const told = [];
    const stream = people.watch([], { fullDocument: 'updateLookup', maxAwaitTimeMS: 500 });
    await stream.tryNext();
    await people.insertOne({ _id: 1000, name: 'late', team: 'red' });
    await people.updateOne({ _id: 1000 }, { $set: { team: 'green' } });
    await people.deleteOne({ _id: 1000 });
    let token;
    while (told.length < 3) {
      const change = await stream.next();
      token = change._id;
      told.push([change.operationType, change.updateDescription?.updatedFields ?? null]);
    }
    await stream.close();
    const again = people.watch([], { resumeAfter: token, maxAwaitTimeMS: 500 });
    await people.insertOne({ _id: 1001, name: 'later' });
    told.push((await again.next()).fullDocument);
    await again.close();
    return told;
  },

  async files(database) {
    const bucket = new GridFSBucket(database, { chunkSizeBytes: 100_000 });
    const id = new ObjectId('64b7f0a1c2d3e4f5a6b7c8d9');
    const upload = bucket.openUploadStreamWithId(id, 'a.bin', { metadata: { of: 'node' } });
    await new Promise((resolve, reject) => {
      Readable.from([Buffer.alloc(350_000, 'a')]).pipe(upload).on('finish', resolve).on('error', reject);
    });
    const read = async (stream) => Buffer.concat(await stream.toArray());
    const told = [(await read(bucket.openDownloadStream(id))).equals(Buffer.alloc(350_000, 'a'))];
    told.push((await read(bucket.openDownloadStreamByName('a.bin', { start: 349_990, end: 350_000 }))).toString());
    told.push((await bucket.find().toArray()).map((file) => [file.filename, file.length, file.metadata]));
    await bucket.delete(id);
    told.push(await database.collection('fs.chunks').countDocuments());
    return told;
  },
};

async function failure(promise) {
  try {
    return ['no error', await promise];
  } catch (error) {
    const indexes = error.writeErrors === undefined ? null : [error.writeErrors].flat().map((item) => [item.index, item.code]);
    return [error.constructor.name, error.code ?? null, indexes, error.keyValue ?? null, error.errorLabels ?? []];
  }
}

const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10_000, retryWrites: true });
try {
  for (const [story, tell] of Object.entries(stories)) {
    console.log(EJSON.stringify({ [story]: await tell(client.db(name), client) }));
  }
} finally {
  await client.close();
}
