// What somebody does in mongosh on a database of their own; each step's answer is a line.
const step = (name, make) => {
  let answer;
  try {
    answer = make();
  } catch (error) {
    answer = { failed: error.codeName || error.name };
  }
  print(EJSON.stringify({ [name]: answer === undefined ? null : answer }));
};

step("insert", () => db.people.insertMany([...Array(300).keys()].map((n) => ({ _id: n, team: n % 3, paid: n / 7 }))).acknowledged);
step("count", () => [db.people.countDocuments({ team: 1 }), db.people.estimatedDocumentCount()]);
step("find", () => db.people.find({ _id: { $lt: 250 } }).sort({ _id: -1 }).batchSize(40).toArray());
step("cursor", () => {
  const cursor = db.people.find().sort({ _id: 1 }).batchSize(7);
  const first = [cursor.next(), cursor.next()];
  cursor.close();
  return first;
});
step("aggregate", () => db.people.aggregate([{ $group: { _id: "$team", n: { $sum: 1 } } }, { $sort: { _id: 1 } }]).toArray());
step("distinct", () => db.people.distinct("team"));
step("update", () => db.people.updateMany({ team: 2 }, { $inc: { paid: 1 } }).modifiedCount);
step("findAndModify", () => db.people.findOneAndUpdate({ _id: 3 }, { $set: { name: "Mo" } }, { returnDocument: "after" }));
step("duplicate", () => db.people.insertOne({ _id: 3 }));
step("bulk", () => {
  const done = db.people.bulkWrite([
    { insertOne: { document: { _id: 1000 } } },
    { updateOne: { filter: { _id: 1000 }, update: { $set: { late: true } } } },
    { deleteOne: { filter: { _id: 1000 } } },
  ]);
  return [done.insertedCount, done.modifiedCount, done.deletedCount];
});
step("indexes", () => [db.people.createIndex({ team: 1 }), db.people.getIndexes().map((index) => index.name)]);
step("explain", () => db.people.find({ team: 1 }).explain().queryPlanner.winningPlan.inputStage.indexName);
step("collections", () => db.getCollectionInfos().map((found) => found.name).sort());
step("databases", () => db.getMongo().getDBNames().includes(db.getName()));
step("stats", () => [db.stats().collections, db.people.stats().count]);
step("view", () => {
  db.createView("red", "people", [{ $match: { team: 0 } }, { $project: { paid: 0 } }]);
  return db.red.find().sort({ _id: 1 }).limit(3).toArray();
});
step("transaction", () => {
  const session = db.getMongo().startSession();
  const people = session.getDatabase(db.getName()).people;
  session.startTransaction();
  people.deleteMany({});
  const inside = people.countDocuments({});
  session.abortTransaction();
  session.endSession();
  return [inside, db.people.countDocuments({})];
});
step("changes", () => {
  const stream = db.people.watch([], { maxAwaitTimeMS: 500 });
  db.people.insertOne({ _id: 2000 });
  let seen = null;
  for (let tries = 0; tries < 20 && !seen; tries += 1) {
    seen = stream.tryNext();
  }
  stream.close();
  return [seen.operationType, seen.documentKey];
});
step("unknown", () => db.runCommand({ thereIsNoSuchCommand: 1 }));
step("wrong", () => db.people.find({ $nothing: 1 }).toArray());
step("validate", () => db.people.validate().valid);
step("drop", () => [db.red.drop(), db.people.drop(), db.dropDatabase().ok]);
