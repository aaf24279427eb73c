"""The server's commands, each with what it does (MongoDB manual, "Database Commands", versions 6.0 to 8.0).

Commands on documents have functions of their own in ``gateway_mongodb.statements``; all others are in ``COMMANDS``. A
command that is in neither, or in ``REFUSED``, has the action *unknown*: every deny applies, and no policy allows it but
one that allows everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from gateway.domain.statement import Action, SessionEffect


class Target(Enum):
    """What the value of a command's first field names."""

    NOTHING = "nothing"
    COLLECTION = "collection"
    INDEX = "index"
    DATABASE = "database"
    ROLE = "role"
    NAMESPACE = "namespace"
    """``database.collection`` in one text."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A command whose facts do not depend on more than its first field. ``doubt`` says why it is opaque."""

    actions: frozenset[Action]
    target: Target = Target.NOTHING
    doubt: str = ""
    effects: frozenset[SessionEffect] = frozenset()
    setting: bool = False
    """Whether it sets something: the detail of its facts is then the setting's name."""


_OTHERS: Final = "its reply shows what other people's commands held"
_VALUES: Final = "its reply can quote stored values"
_CATALOG: Final = frozenset({SessionEffect.CATALOG})


def _table() -> Mapping[str, Plain]:
    table: dict[str, Plain] = {}

    def add(
        names: str, *actions: Action, target: Target = Target.NOTHING, doubt: str = "", catalog: bool = False
    ) -> None:
        effects = _CATALOG if catalog else frozenset[SessionEffect]()
        for name in names.split():
            table[name.lower()] = Plain(frozenset(actions), target, doubt, effects, setting=Action.SET in actions)

    # What drivers and shells send by themselves, and what says no more than that the server is there.
    add(
        """hello isMaster ismaster ping buildInfo buildinfo whatsmyuri connectionStatus listCommands listDatabases
        listCollections availableQueryOptions features driverOIDTest endSessions refreshSessions startSession logout
        getnonce isdbgrid killCursors getLastError getFreeMonitoringStatus""",
        Action.READ,
    )
    add("listIndexes", Action.READ, target=Target.COLLECTION)
    add("commitTransaction abortTransaction", Action.TRANSACTION)
    # The state of the server.
    add(
        """serverStatus hostInfo getCmdLineOpts getParameter getClusterParameter getDefaultRWConcern replSetGetStatus
        replSetGetConfig replSetGetRBID top connPoolStats shardConnPoolStats lockInfo getShardMap getShardVersion
        shardingState balancerStatus balancerCollectionStatus listShards getDiagnosticData dbStats usersInfo rolesInfo
        getAuditConfig getESERotateActiveKEKStatus getDatabaseVersion replSetTestEgress waitForFailPoint
        getTransitionToDedicatedConfigServerStatus""",
        Action.SHOW,
    )
    add("collStats checkMetadataConsistency", Action.SHOW, target=Target.COLLECTION)
    add("currentOp getLog planCacheListFilters", Action.SHOW, doubt=_OTHERS)
    add("validate", Action.MAINTAIN, target=Target.COLLECTION, doubt=_VALUES)
    add("dbHash", Action.READ, target=Target.DATABASE, doubt=_VALUES)
    add("filemd5", Action.READ, doubt=_VALUES)
    add("dataSize splitVector autoSplitVector analyzeShardKey checkShardingIndex", Action.READ, doubt=_VALUES)
    # Settings.
    add(
        """setParameter setClusterParameter setDefaultRWConcern setFeatureCompatibilityVersion profile setAuditConfig
        setProfilingFilterGlobally setFreeMonitoring setUserWriteBlockMode configureQueryAnalyzer setQuerySettings
        removeQuerySettings planCacheSetFilter planCacheClearFilters setIndexCommitQuorum setAllowMigrations
        configureFailPoint""",
        Action.SET,
    )
    # Upkeep of the server and of the cluster.
    add(
        """fsync fsyncUnlock logRotate rotateCertificates planCacheClear flushRouterConfig cleanupOrphaned
        invalidateUserCache connPoolSync dropConnections killOp killSessions killAllSessions killAllSessionsByPattern
        shutdown replSetAbortPrimaryCatchUp replSetFreeze replSetInitiate replSetMaintenance replSetReconfig
        replSetResizeOplog replSetStepDown replSetStepUp replSetSyncFrom balancerStart balancerStop addShard removeShard
        addShardToZone removeShardFromZone updateZoneKeyRange clearJumboFlag configureCollectionBalancing mergeChunks
        mergeAllChunksOnShard moveChunk moveRange movePrimary split splitChunk abortReshardCollection
        cleanupReshardCollection commitReshardCollection cleanupStructuredEncryptionData
        compactStructuredEncryptionData transitionFromDedicatedConfigServer transitionToDedicatedConfigServer
        abortMoveCollection abortUnshardCollection repairShardedCollectionChunksHistory resetPlacementHistory
        oidcRefreshKeys oidcListKeys startRecordingTraffic stopRecordingTraffic""",
        Action.MAINTAIN,
    )
    add("compact reIndex dbCheck", Action.MAINTAIN, target=Target.COLLECTION)
    # Definitions.
    add("createIndexes createSearchIndexes", Action.CREATE, target=Target.INDEX)
    add("dropIndexes deleteIndexes dropSearchIndex", Action.DROP, target=Target.INDEX)
    add("updateSearchIndex", Action.ALTER, target=Target.INDEX)
    add("drop", Action.DROP, target=Target.COLLECTION, catalog=True)
    add("dropDatabase", Action.DROP, target=Target.DATABASE, catalog=True)
    add("convertToCapped", Action.ALTER, Action.TRUNCATE, target=Target.COLLECTION, catalog=True)
    add("enableSharding", Action.ALTER, target=Target.DATABASE)
    add(
        "shardCollection reshardCollection refineCollectionShardKey moveCollection unshardCollection",
        Action.ALTER,
        target=Target.NAMESPACE,
    )
    # Users and roles.
    add("createUser createRole", Action.CREATE, Action.GRANT, target=Target.ROLE)
    add("updateUser updateRole", Action.ALTER, Action.GRANT, target=Target.ROLE)
    add("grantRolesToUser grantRolesToRole grantPrivilegesToRole", Action.GRANT, target=Target.ROLE)
    add("revokeRolesFromUser revokeRolesFromRole revokePrivilegesFromRole", Action.REVOKE, target=Target.ROLE)
    add("dropUser dropRole", Action.DROP, target=Target.ROLE)
    add("dropAllUsersFromDatabase dropAllRolesFromDatabase", Action.DROP, target=Target.DATABASE)
    return MappingProxyType(table)


COMMANDS: Final = _table()
"""By lower-case name: the server takes some names in two spellings."""

REFUSED: Final = frozenset(
    name.lower()
    for name in """appendOplogNote applyOps authenticate saslStart saslContinue prepareTransaction
    coordinateCommitTransaction clusterAbortTransaction clusterAggregate clusterCommitTransaction clusterDelete
    clusterFind clusterGetMore clusterInsert clusterUpdate clusterCount internalRenameIfOptionsAndIndexesMatch
    validateDBMetadata voteCommitIndexBuild abortShardSplit commitShardSplit forgetShardSplit donorAbortMigration
    donorForgetMigration donorStartMigration recipientForgetMigration recipientSyncData recipientVoteImportedFiles
    replSetHeartbeat replSetRequestVotes replSetUpdatePosition setShardVersion eval group geoSearch copydb clone
    cloneCollection parallelCollectionScan testCommands sleep godinsert captrunc emptycapped
    clearLog cpuload echo httpClientRequest logMessage makeSnapshot pinHistoryReplicated reapLogicalSessionCacheNow
    refreshLogicalSessionCacheNow replSetTest setCommittedSnapshot stageDebug testDeprecation
    testDeprecationInVersion2 testInternalTransactions testRemoval testReshardCloneCollection testVersion2
    testVersions1And2 waitForOngoingChunkSplits whatsmysni""".split()
)
"""Known and never analysed: between servers, for authentication (which is the gateway's), for tests, or able to do
anything."""

SECRET: Final = frozenset(
    name.lower()
    for name in """saslStart saslContinue authenticate getnonce createUser updateUser copydbsaslstart copydbgetnonce
    copydb""".split()
)
"""Commands of which no text shows more than the name; of an account, also what ``OF_ACCOUNTS`` names."""

OF_ACCOUNTS: Final = frozenset("roles mechanisms authenticationRestrictions digestPassword".split())
"""Fields of createUser and updateUser that hold nothing secret, and that an approver has to see."""

ON_DOCUMENTS: Final = frozenset(
    """find aggregate count distinct getmore mapreduce insert update delete findandmodify bulkwrite createindexes
    collmod create""".split()
)
"""Commands in which a field that is called as a password is one of the documents': labels are there to protect it."""
