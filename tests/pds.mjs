// A directory of identities (PLC) and a server of accounts (PDS) on loopback, both the real thing.
// Prints their addresses as one line of JSON, and ends when its standard input does.
import { createServer } from 'node:net'
import plc from '@did-plc/server'
import { PDS } from '@atproto/pds'

const freePort = () =>
  new Promise((found) => {
    const server = createServer().listen(0, 'localhost', () => {
      const { port } = server.address()
      server.close(() => found(port))
    })
  })

const [folder] = process.argv.slice(1)
const plcPort = await freePort()
const directory = plc.PlcServer.create({ db: plc.Database.mock(), port: plcPort })
await directory.start()

const port = await freePort()
const nowhere = { url: 'https://nowhere.invalid', did: 'did:web:nowhere.invalid' }
const pds = await PDS.fromEnv({
  devMode: true,
  port,
  hostname: 'localhost',
  dataDirectory: folder,
  blobstoreDiskLocation: `${folder}/blobs`,
  didPlcUrl: `http://localhost:${plcPort}`,
  serviceHandleDomains: ['.test'],
  inviteRequired: false,
  disableSsrfProtection: true,
  rateLimitsEnabled: true,
  bskyAppViewUrl: nowhere.url,
  bskyAppViewDid: nowhere.did,
  modServiceUrl: nowhere.url,
  modServiceDid: nowhere.did,
  crawlers: [],
  // Made up for every run; they guard nothing.
  adminPassword: crypto.randomUUID(),
  jwtSecret: crypto.randomUUID(),
  plcRotationKeyK256PrivateKeyHex: '1'.repeat(64),
})
await pds.start()
console.log(JSON.stringify({ pds: `http://localhost:${port}`, plc: `http://localhost:${plcPort}` }))

process.stdin.on('end', () => process.exit()).resume()
